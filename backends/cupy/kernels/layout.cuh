// How x lies in memory: (outer, rows, channels, length), and which part of it a thread walks over.
//
// A statistic belongs to an (outer, channel) and combines rows and length. A tile is what a block
// (or a cluster) works on: one statistic in `Planes`, `width` threads with V statistics each in
// `Rows`, where length is 1 and neighbours in memory are neighbouring channels. The elements of a
// tile are numbered by items, V neighbours in memory each, and cut into parts of `chunk` items.
#pragma once
#include "numbers.cuh"

enum { NO_ACTIVATION = 0, RELU = 1, LEAKY_RELU = 2 };

// Everything of a call that is no array.
struct Problem {
    Int weight[4];      // strides of the weights along outer, rows, channels, length
    double eps, slope;
    int outer, rows, channels, length;
    int width;          // threads side by side; a power of two up to 32, 1 in Planes
    int chunk, parts;   // items of a part, and parts of a tile
    int parameters;     // of the statistics, so many have a gamma of their own; the rest repeats
    int activation, masked;
};

template <int V> struct Planes {
    enum { VECTOR = V, LANES = 1 };
    bool valid;
    int statistic;
    Int offset, origin, weight, weight_origin, weight_step;

    __device__ Planes(const Problem& p, int tile, int part) : valid(true), statistic(tile) {
        columns_ = p.length / V;
        int outer = tile / p.channels, channel = tile % p.channels;
        int total = p.rows * columns_, first = part * p.chunk;
        end_ = first + p.chunk < total ? first + p.chunk : total;
        item_ = first + (int)threadIdx.x;
        row_step_ = (int)blockDim.x / columns_;
        column_step_ = (int)blockDim.x % columns_;
        base_ = ((Int)outer * p.rows * p.channels + channel) * p.length;
        pitch_ = (Int)p.channels * p.length;
        weight_base_ = outer * p.weight[0] + channel * p.weight[2];
        weight_row_ = p.weight[1];
        weight_step = p.weight[3];
        go(first < total ? first : 0);
        origin = offset;
        weight_origin = weight;
        go(item_);
    }
    __device__ bool more() const { return item_ < end_; }
    __device__ void next() {
        item_ += blockDim.x;
        row_ += row_step_;
        column_ += column_step_;
        if (column_ >= columns_) {
            column_ -= columns_;
            row_ += 1;
        }
        place();
    }
    __device__ static int lane(int) { return 0; }
    // The statistic that belongs to channel i of a tile; -1 if there is none.
    __device__ static int statistic_of(const Problem&, int tile, int) { return tile; }

  private:
    int columns_, item_, end_, row_, column_, row_step_, column_step_;
    Int base_, pitch_, weight_base_, weight_row_;

    __device__ void go(int item) {
        row_ = item / columns_;
        column_ = item % columns_;
        place();
    }
    __device__ void place() {
        offset = base_ + row_ * pitch_ + (Int)column_ * V;
        weight = weight_base_ + row_ * weight_row_ + (Int)column_ * V * weight_step;
    }
};

template <int V> struct Rows {
    enum { VECTOR = V, LANES = V };
    bool valid;
    int statistic;
    Int offset, origin, weight, weight_origin, weight_step;

    __device__ Rows(const Problem& p, int tile, int part) {
        int wide = p.width * V, tiles = (p.channels + wide - 1) / wide;
        int outer = tile / tiles, first = part * p.chunk;
        int channel = tile % tiles * wide + (int)threadIdx.x % p.width * V;
        valid = channel < p.channels;
        if (!valid) channel = 0;
        statistic = outer * p.channels + channel;
        int last = first + p.chunk < p.rows ? first + p.chunk : p.rows;
        end_ = valid ? last : 0;
        item_ = first + (int)threadIdx.x / p.width;
        step_ = (int)blockDim.x / p.width;
        Int row = (Int)outer * p.rows + (first < p.rows ? first : 0);
        origin = row * p.channels + channel;
        offset = ((Int)outer * p.rows + item_) * p.channels + channel;
        stride_ = (Int)step_ * p.channels;
        Int base = outer * p.weight[0] + channel * p.weight[2];
        weight_origin = base + (first < p.rows ? first : 0) * p.weight[1];
        weight = base + item_ * p.weight[1];
        weight_stride_ = step_ * p.weight[1];
        weight_step = p.weight[2];
    }
    __device__ bool more() const { return item_ < end_; }
    __device__ void next() {
        item_ += step_;
        offset += stride_;
        weight += weight_stride_;
    }
    __device__ static int lane(int v) { return v; }
    __device__ static int statistic_of(const Problem& p, int tile, int i) {
        int wide = p.width * V, tiles = (p.channels + wide - 1) / wide;
        int channel = tile % tiles * wide + i;
        return channel < p.channels ? tile / tiles * p.channels + channel : -1;
    }

  private:
    int item_, end_, step_;
    Int stride_, weight_stride_;
};

template <typename S> __device__ inline const S* at_or_null(const S* base, Int offset) {
    return base == 0 ? base : base + offset;
}

// Adds the V terms of an item to the sums of their channels.
template <typename L, typename S>
__device__ inline void gather(Sum<S> (&sums)[L::LANES], const S (&terms)[L::VECTOR]) {
    if (L::LANES == 1) {
        sums[0].add(tree(terms));
    } else {
#pragma unroll
        for (int v = 0; v < L::LANES; ++v) sums[v].add(terms[v]);
    }
}
