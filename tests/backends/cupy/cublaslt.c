/* A pretend cublasLt on the CPU: the part of its interface that products use, by the same names and
   layouts, so that the calls themselves are tested. Matrices lie by columns, as in the original. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int compute, scale, transa, transb; } Desc;
typedef struct { int type; uint64_t rows, cols; int64_t ld; int32_t batch; int64_t stride; } Layout;
typedef struct { uint64_t workspace; uint32_t align[4]; } Pref;
typedef struct { uint64_t data[8]; } Algo;
typedef struct { Algo algo; size_t workspace; int state; float waves; int reserved[4]; } Heuristic;

static const uint64_t MAGIC = 0x746e756f6d;

int cublasLtCreate(void **handle) { *handle = malloc(1); return 0; }

int cublasLtMatmulDescCreate(Desc **d, int compute, int scale) {
    *d = calloc(1, sizeof(Desc));
    (*d)->compute = compute;
    (*d)->scale = scale;
    return 0;
}

int cublasLtMatmulDescSetAttribute(Desc *d, int name, const void *value, size_t size) {
    if (size != sizeof(int32_t)) return 7;
    if (name == 3) memcpy(&d->transa, value, size);
    else if (name == 4) memcpy(&d->transb, value, size);
    else return 7;
    return 0;
}

int cublasLtMatrixLayoutCreate(Layout **l, int type, uint64_t rows, uint64_t cols, int64_t ld) {
    if (ld < (int64_t)rows) return 7;
    *l = calloc(1, sizeof(Layout));
    (*l)->type = type; (*l)->rows = rows; (*l)->cols = cols; (*l)->ld = ld; (*l)->batch = 1;
    return 0;
}

int cublasLtMatrixLayoutSetAttribute(Layout *l, int name, const void *value, size_t size) {
    if (name == 5 && size == 4) memcpy(&l->batch, value, size);
    else if (name == 6 && size == 8) memcpy(&l->stride, value, size);
    else return 7;
    return 0;
}

int cublasLtMatmulPreferenceCreate(Pref **p) { *p = calloc(1, sizeof(Pref)); return 0; }
int cublasLtMatmulPreferenceDestroy(Pref *p) { free(p); return 0; }

int cublasLtMatmulPreferenceSetAttribute(Pref *p, int name, const void *value, size_t size) {
    if (name == 1 && size == 8) memcpy(&p->workspace, value, size);
    else if (name >= 5 && name <= 8 && size == 4) memcpy(&p->align[name - 5], value, size);
    else return 7;
    return 0;
}

static int fits(const Desc *d, const Layout *a, const Layout *b, const Layout *c) {
    uint64_t m = d->transa ? a->cols : a->rows, k = d->transa ? a->rows : a->cols;
    uint64_t k2 = d->transb ? b->cols : b->rows, n = d->transb ? b->rows : b->cols;
    return m == c->rows && n == c->cols && k == k2 && a->batch == b->batch && a->batch == c->batch
        && a->type == b->type && b->type == c->type;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, Desc *d, Layout *a, Layout *b, Layout *c, Layout *r,
                                   Pref *p, int wanted, Heuristic *found, int *count) {
    if (!fits(d, a, b, c) || c != r || wanted != 1 || p->workspace == 0) return 7;
    for (int i = 0; i < 4; i++) if (p->align[i] == 0 || p->align[i] > 256) return 7;
    *count = d->compute == 68 || d->compute == 70;
    memset(found, 0, sizeof *found);
    found->algo.data[7] = MAGIC;
    found->workspace = 0;
    return 0;
}

#define PRODUCT(T)                                                                               \
    for (int64_t s = 0; s < c->batch; s++)                                                       \
        for (uint64_t j = 0; j < c->cols; j++)                                                   \
            for (uint64_t i = 0; i < c->rows; i++) {                                             \
                double sum = 0;                                                                  \
                uint64_t inner = d->transa ? a->rows : a->cols;                                  \
                for (uint64_t k = 0; k < inner; k++) {                                           \
                    const T *x = (const T *)A + s * a->stride, *y = (const T *)B + s * b->stride; \
                    sum += (double)(d->transa ? x[k + i * a->ld] : x[i + k * a->ld])              \
                         * (double)(d->transb ? y[j + k * b->ld] : y[k + j * b->ld]);             \
                }                                                                                \
                T *out = (T *)D + s * c->stride + i + j * c->ld;                                  \
                *out = (T)(*(const T *)alpha * sum + (*(const T *)beta ? *(const T *)beta * *out : 0)); \
            }

int cublasLtMatmul(void *handle, Desc *d, const void *alpha, const void *A, Layout *a, const void *B,
                   Layout *b, const void *beta, const void *C, Layout *c, void *D, Layout *r,
                   const Algo *algo, void *workspace, size_t size, void *stream) {
    if (!fits(d, a, b, c) || algo->data[7] != MAGIC || C != D || workspace == NULL || size == 0)
        return 7;
    if (c->type == 0 && d->scale == 0) { PRODUCT(float) }
    else if (c->type == 1 && d->scale == 1) { PRODUCT(double) }
    else return 15;
    return 0;
}
