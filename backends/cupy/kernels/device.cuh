// What the kernels ask of the machine beyond CUDA's own words: half precision, shared memory and
// thread-block clusters. Everything in PTX is here, so that the kernels themselves are plain C++.
// Whoever compiles them for another machine supplies the names of this file before including it.
#pragma once

typedef long long Int;
typedef unsigned long long Bits64;
typedef unsigned int Bits32;

// A half-precision number as it lies in memory; arithmetic is done in float.
struct Half {
    unsigned short bits;
};

#ifdef __CUDACC__

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

__device__ inline float half_to_float(Half h) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(h.bits));
    return value;
}

__device__ inline Half float_to_half(float value) {
    Half h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(value));
    return h;
}

#if __CUDA_ARCH__ >= 900

#define CLUSTER(n) __cluster_dims__(n, 1, 1)

__device__ inline int cluster_rank() {
    Bits32 rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return (int)rank;
}

// A barrier of all threads of the cluster, after which they see each other's shared memory.
__device__ inline void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

// The number that a block of the cluster keeps where this block keeps `*own`.
__device__ inline double cluster_read(const double* own, int rank) {
    Bits32 here = (Bits32)__cvta_generic_to_shared(own), there;
    double value;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
    asm volatile("ld.shared::cluster.f64 %0, [%1];" : "=d"(value) : "r"(there) : "memory");
    return value;
}

#else  // no clusters: a cluster is one block

#define CLUSTER(n)

__device__ inline int cluster_rank() { return 0; }
__device__ inline void cluster_barrier() { __syncthreads(); }
__device__ inline double cluster_read(const double* own, int) { return *own; }

#endif
#endif
