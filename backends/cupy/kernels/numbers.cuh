// Numbers: the dtype of statistics, vectors of 16 bytes, sums that do not lose digits.
#pragma once
#include "device.cuh"

// The dtype that numbers of T are computed in: statistics, parameters and accumulators.
template <typename T> struct Wide { typedef T Type; };
template <> struct Wide<Half> { typedef float Type; };

__device__ inline float widen(Half x) { return half_to_float(x); }
__device__ inline float widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }

template <typename T> struct Narrow;
template <> struct Narrow<Half> { __device__ static Half of(float x) { return float_to_half(x); } };
template <> struct Narrow<float> { __device__ static float of(float x) { return x; } };
template <> struct Narrow<double> { __device__ static double of(double x) { return x; } };

// ∞: there are no headers to take it from.
template <typename S> __device__ inline S infinity() {
    S large = sizeof(S) == 4 ? (S)3e38 : (S)1.5e308;
    return large * large;
}

// V neighbours in memory, read and written at once.
template <typename T, int V> struct alignas(sizeof(T) * V) Pack {
    T at[V];
};

template <int V, typename T> __device__ inline Pack<T, V> load(const T* address) {
    return *reinterpret_cast<const Pack<T, V>*>(address);
}

template <int V, typename T> __device__ inline void store(T* address, const Pack<T, V>& pack) {
    *reinterpret_cast<Pack<T, V>*>(address) = pack;
}

// Σ of many terms: in float with the rounding errors kept in a second number (Knuth's TwoSum).
template <typename S> struct Sum;

template <> struct Sum<float> {
    float high, low;
    __device__ Sum() : high(0), low(0) {}
    __device__ void add(float term) {
        float total = high + term, part = total - high;
        low += (high - (total - part)) + (term - part);
        high = total;
    }
    // Of infinities the errors are NaN, the sum is not.
    __device__ double value() const { return low == low ? (double)high + low : (double)high; }
};

template <> struct Sum<double> {
    double high;
    __device__ Sum() : high(0) {}
    __device__ void add(double term) { high += term; }
    __device__ double value() const { return high; }
};

// Σ of the terms by halves.
template <typename S> __device__ inline S tree(const S (&a)[1]) { return a[0]; }
template <typename S> __device__ inline S tree(const S (&a)[2]) { return a[0] + a[1]; }
template <typename S> __device__ inline S tree(const S (&a)[4]) {
    return (a[0] + a[1]) + (a[2] + a[3]);
}
template <typename S> __device__ inline S tree(const S (&a)[8]) {
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}
