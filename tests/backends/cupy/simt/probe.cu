// Kernels that try the shim itself: each breaks or keeps one rule of the execution model.
#include "device.cuh"

// out[block] = Σ of the threads' numbers, by shuffles and shared memory.
__global__ void sums(const int* values, int* out) {
    SHARED_MEMORY(memory);
    int* shared = reinterpret_cast<int*>(memory);
    int own = values[blockIdx.x * blockDim.x + threadIdx.x];
    for (int away = 16; away > 0; away /= 2) own += __shfl_down_sync(0xffffffffu, own, away);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x != 0) return;
    int total = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) total += shared[w];
    out[blockIdx.x] = total;
}

// Each thread reads what another one wrote; `fenced` says whether a barrier lies between.
__global__ void neighbours(int* out, int fenced) {
    SHARED_MEMORY(memory);
    int* shared = reinterpret_cast<int*>(memory);
    shared[threadIdx.x] = (int)threadIdx.x + 1;
    if (fenced) __syncthreads();
    out[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}

// Half of the threads do not reach the barrier, and half of the others wait in a shuffle.
__global__ void stuck(int* out) {
    if (threadIdx.x % 2 == 0) __syncthreads();
    else out[0] = __shfl_xor_sync(0xffffffffu, 1, 1);
}

__global__ void overrun(int* out, int at) {
    SHARED_MEMORY(memory);
    reinterpret_cast<int*>(memory)[at] = 1;
    out[0] = 1;
}

// out[rank] = the numbers of all blocks of the cluster, as digits.
__global__ void clusters(int* out) {
    SHARED_MEMORY(memory);
    double* own = reinterpret_cast<double*>(memory);
    if (threadIdx.x == 0) *own = blockIdx.x + 1;
    cluster_barrier();
    int number = 0;
    for (int r = 0; r < 4; ++r) number = 10 * number + (int)cluster_read(own, r);
    if (threadIdx.x == 0) out[blockIdx.x] = number;
    cluster_barrier();
}

__global__ void halves(const Half* x, float* wide, Half* back, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    wide[i] = half_to_float(x[i]);
    back[i] = float_to_half(wide[i] * 1.0009765625f);
}

template <typename T> struct Pair {
    T first;
    double second;
};

__global__ void record(const Pair<int> pair, int* whole, double* part) {
    whole[0] = pair.first;
    part[0] = pair.second;
}

template <typename T> struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

// out[0] = the number at `at`, or of four together those from there on.
__global__ void reach(const float* x, float* out, int at, int together) {
    if (threadIdx.x != 0) return;
    if (together) {
        Four<float> four = *reinterpret_cast<const Four<float>*>(x + at);
        out[0] = four.at[0] + four.at[1] + four.at[2] + four.at[3];
    } else {
        out[0] = x[at];
    }
}

__global__ void put(float* out, int at) {
    if (threadIdx.x == 0) out[at] = 1;
}

__global__ void product(int* out, int factor) {
    if (threadIdx.x == 0) out[0] = out[0] * factor;
}

// A block of a cluster reads its neighbour's number; `waits` says whether the neighbour stays.
__global__ void leave(double* out, int waits) {
    SHARED_MEMORY(memory);
    double* own = reinterpret_cast<double*>(memory);
    if (threadIdx.x == 0) *own = blockIdx.x + 1;
    cluster_barrier();
    if (threadIdx.x == 0) out[blockIdx.x] = cluster_read(own, 1 - cluster_rank());
    if (waits) cluster_barrier();
}

// out[thread] = what lies in shared memory before anybody has written there.
__global__ void unwritten(double* out) {
    SHARED_MEMORY(memory);
    out[threadIdx.x] = reinterpret_cast<double*>(memory)[threadIdx.x];
}
