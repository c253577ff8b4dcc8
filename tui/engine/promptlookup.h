/*
 * Drafts: what the model may be about to write, because the conversation holds the same words already. Code that is
 * edited, quotations, tables and lists repeat what was read. A draft is decoded together with the token before it, which
 * costs little more than that token alone, and each token of it is kept that the model would have chosen anyway.
 *
 * Knows tokens and nothing else; promptlookup.py does the same, operation for operation.
 */

/* Tokens in a row that must be the same as before for a place of the text to be looked at. */
#define SHORTEST 3
/* Tokens in a row beyond which a longer match says no more. */
#define LONGEST 32
/* Places that are looked at, the latest first. */
#define MOST_PLACES 8
/* Tokens of a draft. */
#define MOST_DRAFT 15
/* Differences in a row over which a place is followed, as where a name was replaced. */
#define MOST_MISSES 3
#define N_LENGTHS 13
/* What several tokens at once cost more than one, at least: no less can be told from noise. */
#define LEAST_MORE 0.02
/* What one more observation leaves of those before it. */
#define MEMORY 0.96
/* A draft must promise this much more than decoding alone. */
#define LEAST_GAIN 1.05

struct lookup {
    int32_t *text;              /* the conversation's tokens; the last one is not decoded yet */
    int32_t *before;            /* of each place: the one before that the same three tokens lead to; -1: none */
    int32_t *heads;             /* of each hash of three tokens: the latest place behind them; -1: none */
    int32_t n, room, mask;      /* tokens in `text`, and how many it can hold; one less than there are hashes */
    int32_t source;             /* the place whose token should come next; -1: there is none */
    int32_t length;             /* how many tokens before it are the same as the latest ones */
    int32_t n_misses;
    int32_t n_costs;            /* the most tokens at once of which the cost is known */
    double hits[N_LENGTHS];     /* by length of the match: guesses that were right, and all */
    double trials[N_LENGTHS];
    double costs[MOST_DRAFT + 2];   /* of so many tokens at once, in steps of one; costs[1] is 1 */
};

/* In which row of `hits` a match counts. */
static int length_row(int32_t length)
{
    static const int32_t ends[N_LENGTHS] = {0, 1, 2, 3, 4, 5, 7, 11, 15, 19, 23, 31, INT32_MAX};
    int row = 0;
    while (length > ends[row])
        row++;
    return row;
}

static uint32_t hash_of(const int32_t *three)
{
    uint32_t hash = (uint32_t) three[0] * 0x9E3779B1u ^ (uint32_t) three[1] * 0x85EBCA77u ^ (uint32_t) three[2] * 0xC2B2AE3Du;
    return hash ^ hash >> 15;
}

/* Go to the place with the longest match, where that is longer than the one that is followed. */
static void look_up(struct lookup *lookup, uint32_t hash)
{
    const int32_t *text = lookup->text, n = lookup->n;
    int32_t length = lookup->source >= 0 ? lookup->length : 0;
    int32_t place = lookup->heads[hash];
    for (int i = 0; i < MOST_PLACES && place >= 0 && length < LONGEST; i++, place = lookup->before[place]) {
        int32_t same = 0;
        while (same < LONGEST && same < place && text[place - 1 - same] == text[n - 1 - same])
            same++;
        if (same >= SHORTEST && same > length) {
            lookup->source = place;
            lookup->length = length = same;
            lookup->n_misses = 0;
        }
    }
}

/* One more token of the conversation; `is_guess`: it was chosen by the model, so that it tells how good a guess is. */
static void lookup_add(struct lookup *lookup, int32_t token, bool is_guess)
{
    if (lookup->n >= lookup->room) {
        lookup->source = -1;
        return;
    }
    if (lookup->source >= 0) {
        const bool is_hit = lookup->text[lookup->source] == token;
        if (is_guess) {
            const int row = length_row(lookup->length);
            lookup->hits[row] = lookup->hits[row] * MEMORY + (is_hit ? 1.0 : 0.0);
            lookup->trials[row] = lookup->trials[row] * MEMORY + 1.0;
        }
        lookup->source++;
        lookup->length = is_hit ? lookup->length + 1 : 0;
        if (lookup->length >= SHORTEST)
            lookup->n_misses = 0;
        else if (!is_hit && ++lookup->n_misses >= MOST_MISSES)
            lookup->source = -1;
    }
    lookup->text[lookup->n++] = token;
    if (lookup->n < SHORTEST)
        return;
    const uint32_t hash = hash_of(lookup->text + lookup->n - SHORTEST) & (uint32_t) lookup->mask;
    look_up(lookup, hash);
    lookup->before[lookup->n] = lookup->heads[hash];
    lookup->heads[hash] = lookup->n;
}

/* How long a draft, of at most `most` tokens, is worth most for what it costs; 0: none is worth it. `gain`: how many
 * times as fast as one by one it promises to be. */
static int32_t lookup_length(const struct lookup *lookup, int32_t most, double *gain)
{
    *gain = LEAST_GAIN;
    if (lookup->source < 0)
        return 0;
    if (most > lookup->n_costs - 1)
        most = lookup->n_costs - 1;
    double chance = 1.0, expected = 1.0;
    int32_t length = 0;
    for (int32_t n = 1; n <= most; n++) {
        const int row = length_row(lookup->length + n - 1);
        chance *= lookup->hits[row] / lookup->trials[row];
        expected += chance;
        if (expected / lookup->costs[n + 1] > *gain) {
            *gain = expected / lookup->costs[n + 1];
            length = n;
        }
    }
    return length;
}

/* The draft; behind the end of the text it goes on with itself. */
static void lookup_write(const struct lookup *lookup, int32_t *draft, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        const int32_t place = lookup->source + i;
        draft[i] = place < lookup->n ? lookup->text[place] : draft[place - lookup->n];
    }
}

/* A step of so many tokens cost this. Of the others it says something too: attention to a long context costs each token
 * of a draft as much as the first. */
static void lookup_learn_cost(struct lookup *lookup, int32_t n_at_once, double cost, double weight)
{
    const double before = lookup->costs[n_at_once];
    double factor = (cost - 1.0) / fmax(before - 1.0, LEAST_MORE);
    factor = fmin(fmax(factor, 0.5), 2.0);
    for (int32_t n = 2; n <= lookup->n_costs; n++) {
        const double more = fmax(lookup->costs[n] - 1.0, LEAST_MORE);
        lookup->costs[n] = 1.0 + more * (1.0 + (n == n_at_once ? weight : weight / 2) * (factor - 1.0));
    }
}
