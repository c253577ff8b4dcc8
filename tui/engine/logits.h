/*
 * Looking through logits, a hundred thousand and more of them, while llama.cpp's threads wait.
 */
#define BLOCK 64

/* Four floats in a vector register; compilers do not find that a maximum may be taken in any order. */
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t mask __attribute__((vector_size(16)));

static lanes larger(lanes one, lanes other)
{
    const mask is_larger = one > other;
    return (lanes) (((mask) one & is_larger) | ((mask) other & ~is_larger));
}

/* The best of a block; what is not a number, which no sound model gives, is passed over. */
static float block_maximum(const float *logits, int32_t n)
{
    float best = -INFINITY;
    if (n == BLOCK) {
        lanes at, most[4];
        for (int i = 0; i < 4; i++)
            most[i] = (lanes){-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        for (int from = 0; from < BLOCK; from += 16)
            for (int i = 0; i < 4; i++) {
                memcpy(&at, logits + from + 4 * i, sizeof at);
                most[i] = larger(at, most[i]);
            }
        const lanes last = larger(larger(most[0], most[1]), larger(most[2], most[3]));
        for (int i = 0; i < 4; i++)
            best = last[i] > best ? last[i] : best;
    } else {
        for (int32_t i = 0; i < n; i++)
            best = logits[i] > best ? logits[i] : best;
    }
    return best;
}

/* The best logit of each block and of all. */
static float find_maxima(const float *logits, int32_t n, float *maxima)
{
    float best = -INFINITY;
    for (int32_t at = 0; at < n; at += BLOCK) {
        const float most = block_maximum(logits + at, n - at < BLOCK ? n - at : BLOCK);
        maxima[at / BLOCK] = most;
        best = most > best ? most : best;
    }
    return best;
}
