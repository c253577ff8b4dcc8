/*
 * Structs that go to llama.cpp, laid out as in its llama.h; tokenloop.py compares their sizes.
 */

/* llama_token_data, llama_token_data_array and llama_batch. */
struct candidate { int32_t id; float logit, p; };
struct candidates { struct candidate *data; size_t size; int64_t selected; bool sorted; };
struct batch {
    int32_t n_tokens, *token;
    float *embd;
    int32_t *pos, *n_seq_id, **seq_id;
    int8_t *logits;
};
