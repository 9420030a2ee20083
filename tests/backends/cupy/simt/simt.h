// CUDA's execution model on one CPU thread, for running kernels where there is no GPU.
//
// The threads of a block are fibers. A fiber runs until it waits (at __syncthreads, in a shuffle, at
// a cluster's barrier) or ends; then others run, in an order that is shuffled under a seed each time,
// so that a missing barrier shows as a result that depends on the seed. The blocks of a cluster run
// together, clusters one after the other. Waiting that can never end is an error, and so is a write
// behind the end of a block's shared memory; what nobody has written there is NaN, and all of it is
// when the block has ended. Where the compiler takes part (see watch.h), an access outside of the
// arguments is an error too, and a misaligned one.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <math.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace simt {
inline bool inside;  // a fiber runs
}

#ifdef SIMT_WATCH
#include "watch.h"
#else
#define SIMT_UNWATCHED
namespace simt {
inline int known;
inline void allow(const void*, std::size_t) {}
}  // namespace simt
#endif

#define __global__ static
#define __device__
#define __launch_bounds__(...)
#define __grid_constant__
#define CLUSTER(n)
#define SHARED_MEMORY(name) unsigned char* name = simt::now->block->shared.data()

namespace simt {

struct Dim {
    unsigned x, y, z;
};

enum State { READY, AT_WARP, AT_BLOCK, AT_CLUSTER, DONE };

constexpr int WARP_SIZE = 32;
constexpr std::size_t STACK = 64 * 1024, GUARD = 256;
constexpr unsigned char UNUSED = 0xA5, UNKNOWN = 0xFF;  // the latter makes NaNs of all widths

struct Block;

struct Fiber {
    Dim thread;
    Block* block;
    int lane, warp;
    State state;
    unsigned shuffles;
    std::uint64_t slot[2];
    ucontext_t start;
    jmp_buf resume;
    bool started;
};

struct Block {
    Dim index;
    int rank;
    std::vector<unsigned char> shared;
    Fiber* fibers;
    unsigned running;
};

struct Cluster {
    std::vector<Block> blocks;
    std::vector<Fiber> fibers;
};

inline Fiber* now;
inline Cluster* cluster;
inline Dim block_dim, grid_dim;
inline jmp_buf scheduler;
inline void (*body)(void**);
inline void** arguments;
inline std::string failure;

// Ends the running fiber, and with it the launch.
[[noreturn]] inline void fail(const char* what) {
    if (failure.empty()) failure = what;
    now->state = DONE;
    _longjmp(scheduler, 1);
}

inline void wait(State at) {
    Fiber* self = now;
    self->state = at;
    inside = false;
    if (_setjmp(self->resume) == 0) _longjmp(scheduler, 1);
    inside = true;
}

inline void main_of_fiber() {
    inside = true;
    body(arguments);
    inside = false;
    now->state = DONE;
    Block& block = *now->block;
    if (--block.running == 0)  // its shared memory is another block's from now on
        std::memset(block.shared.data(), UNKNOWN, block.shared.size() - GUARD);
    _longjmp(scheduler, 1);
}

inline void run_fiber(Fiber& fiber) {
    now = &fiber;
    if (_setjmp(scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

// Frees the fibers of a group if all that have not ended wait at the same barrier.
inline bool release(Fiber* first, std::size_t count, State at, bool all) {
    bool any = false;
    for (std::size_t i = 0; i < count; ++i) {
        if (first[i].state == DONE && !all) continue;
        if (first[i].state != at) return false;
        any = true;
    }
    for (std::size_t i = 0; any && i < count; ++i)
        if (first[i].state == at) first[i].state = READY;
    return any;
}

inline bool release_some(Cluster& c, std::size_t threads) {
    bool any = false;
    for (std::size_t i = 0; i < c.fibers.size(); i += WARP_SIZE)
        any |= release(&c.fibers[i], WARP_SIZE, AT_WARP, true);
    for (Block& block : c.blocks) any |= release(block.fibers, threads, AT_BLOCK, false);
    return release(c.fibers.data(), c.fibers.size(), AT_CLUSTER, true) || any;
}

inline std::string stuck(const Cluster& c) {
    int counts[5] = {};
    for (const Fiber& fiber : c.fibers) ++counts[fiber.state];
    char text[200];
    std::snprintf(text, sizeof text,
                  "deadlock: %d threads wait in a shuffle, %d at __syncthreads, %d at the "
                  "cluster's barrier, %d have ended",
                  counts[AT_WARP], counts[AT_BLOCK], counts[AT_CLUSTER], counts[DONE]);
    return text;
}

inline unsigned char* stacks(std::size_t count) {
    static unsigned char* memory = nullptr;
    static std::size_t have = 0;
    if (count > have) {
        if (memory != nullptr) munmap(memory, have * STACK);
        memory = static_cast<unsigned char*>(mmap(nullptr, count * STACK, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (memory == MAP_FAILED) throw std::runtime_error("no memory for stacks");
        have = count;
    }
    return memory;
}

inline void prepare_fiber(Fiber& fiber, Block& block, unsigned thread, unsigned char* stack) {
    fiber.thread = {thread, 0, 0};
    fiber.block = &block;
    fiber.lane = thread % WARP_SIZE;
    fiber.warp = thread / WARP_SIZE;
    fiber.state = READY;
    fiber.shuffles = 0;
    fiber.started = false;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = stack;
    fiber.start.uc_stack.ss_size = STACK;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, main_of_fiber, 0);
}

inline void prepare(Cluster& c, Dim first, unsigned threads, std::size_t shared) {
    unsigned char* stack = stacks(c.fibers.size());
    const int given = known;
    if (given != 0) {
        allow(stack, c.fibers.size() * STACK);
        allow(c.fibers.data(), c.fibers.size() * sizeof(Fiber));
        allow(c.blocks.data(), c.blocks.size() * sizeof(Block));
        allow(&c, sizeof c);
    }
    for (std::size_t b = 0; b < c.blocks.size(); ++b) {
        Block& block = c.blocks[b];
        block.index = {first.x + static_cast<unsigned>(b), first.y, first.z};
        block.rank = static_cast<int>(b);
        block.shared.assign(shared + GUARD, UNUSED);
        std::memset(block.shared.data(), UNKNOWN, shared);
        block.running = threads;
        if (given != 0) allow(block.shared.data(), shared);
        block.fibers = &c.fibers[b * threads];
        for (unsigned t = 0; t < threads; ++t)
            prepare_fiber(block.fibers[t], block, t, stack + (b * threads + t) * STACK);
    }
}

// Runs fibers of a group, which stands in `order` from `first` on, until all of them wait for others
// (or, if not `far`, once), shuffled anew each time.
inline void run_group(std::vector<Fiber*>& order, std::size_t first, std::size_t count, bool far,
                      std::mt19937& random) {
    for (bool again = true; again;) {
        again = false;
        for (std::size_t i = count - 1; i > 0; --i)
            std::swap(order[first + i], order[first + random() % (i + 1)]);
        for (std::size_t i = first; i < first + count; ++i) {
            if (order[i]->state == READY) run_fiber(*order[i]);
        }
        if (far) {
            Fiber* lane = order[first];
            again = release(lane - lane->lane, count, AT_WARP, true);
        }
    }
}

// The warps of a block run one after the other, each as far as it can; with `far` so does the block.
inline void run_block(std::vector<Fiber*>& order, Block& block, std::size_t first,
                      unsigned threads, bool far, std::mt19937& random) {
    std::vector<std::size_t> warps;
    for (unsigned i = 0; i < threads; i += WARP_SIZE) warps.push_back(first + i);
    do {
        for (std::size_t i = warps.size() - 1; i > 0; --i)
            std::swap(warps[i], warps[random() % (i + 1)]);
        for (std::size_t warp : warps) run_group(order, warp, WARP_SIZE, true, random);
    } while (far && failure.empty() && release(block.fibers, threads, AT_BLOCK, false));
}

// All threads take turns, or warps run as far as they can, or blocks do: the first finds what a slow
// neighbour would break, the others what a fast one would.
inline void run_cluster(Cluster& c, unsigned threads, std::size_t shared, std::mt19937& random) {
    std::vector<Fiber*> order;
    for (Fiber& fiber : c.fibers) order.push_back(&fiber);
    std::vector<std::size_t> blocks;
    for (std::size_t i = 0; i < c.blocks.size(); ++i) blocks.push_back(i);
    cluster = &c;
    const unsigned mode = random() % 3;
    for (;;) {
        if (mode == 0) {
            run_group(order, 0, order.size(), false, random);
        } else {
            for (std::size_t i = blocks.size() - 1; i > 0; --i)
                std::swap(blocks[i], blocks[random() % (i + 1)]);
            for (std::size_t b : blocks)
                run_block(order, c.blocks[b], b * threads, threads, mode == 2, random);
        }
        if (!failure.empty()) throw std::runtime_error(failure);
        bool ended = true;
        for (const Fiber& fiber : c.fibers) ended = ended && fiber.state == DONE;
        if (ended) break;
        if (!release_some(c, threads)) throw std::runtime_error(stuck(c));
    }
    for (const Block& block : c.blocks)
        for (std::size_t i = shared; i < block.shared.size(); ++i)
            if (block.shared[i] != UNUSED)
                throw std::runtime_error("a write behind the end of shared memory");
}

inline void run(const unsigned* grid, unsigned threads, std::size_t shared, unsigned blocks,
                unsigned seed) {
    if (threads % WARP_SIZE != 0 || threads == 0 || threads > 1024)
        throw std::runtime_error("a block of " + std::to_string(threads) + " threads");
    if (grid[0] % blocks != 0)
        throw std::runtime_error("the grid is no multiple of the cluster");
    block_dim = {threads, 1, 1};
    grid_dim = {grid[0], grid[1], grid[2]};
    failure.clear();
    std::mt19937 random(seed);
    Cluster c;
    c.blocks.resize(blocks);
    c.fibers.resize(std::size_t(blocks) * threads);
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; x += blocks) {
                const int given = known;
                prepare(c, {x, y, z}, threads, shared);
                run_cluster(c, threads, shared, random);
                known = given;
            }
}

// The arrays that a kernel may touch, as (address, bytes); without any, nothing is watched.
inline void know(const std::size_t* arrays, int count) {
    known = 0;
#ifdef SIMT_WATCH
    if (count == 0) return;
    allow(&__ehdr_start, static_cast<std::size_t>(&_end - &__ehdr_start));
    for (int i = 0; i < count; ++i)
        allow(reinterpret_cast<void*>(arrays[2 * i]), arrays[2 * i + 1]);
#else
    (void)arrays, (void)count;
#endif
}

template <typename T> inline T exchange(T value, int source) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t), "a shuffle moves up to 8 bytes");
    Fiber* self = now;
    unsigned turn = self->shuffles++ % 2;
    std::memcpy(&self->slot[turn], &value, sizeof value);
    wait(AT_WARP);
    const Fiber* warp = self - self->lane;
    if (source >= 0 && source < WARP_SIZE) std::memcpy(&value, &warp[source].slot[turn], sizeof value);
    return value;
}

template <typename... A, std::size_t... I>
SIMT_UNWATCHED inline void unpack(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(values[I])...);
}

template <typename... A> SIMT_UNWATCHED inline void call(void (*kernel)(A...), void** values) {
    unpack(kernel, values, std::index_sequence_for<A...>{});
}

template <typename... A> constexpr int arity(void (*)(A...)) { return sizeof...(A); }

struct Entry {
    const char* instance;
    int arguments;
    void (*body)(void**);
};

}  // namespace simt

#define threadIdx (simt::now->thread)
#define blockIdx (simt::now->block->index)
#define blockDim (simt::block_dim)
#define gridDim (simt::grid_dim)

inline void __syncthreads() { simt::wait(simt::AT_BLOCK); }

template <typename T> inline T __shfl_down_sync(unsigned, T value, int away) {
    return simt::exchange(value, simt::now->lane + away);
}

template <typename T> inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return simt::exchange(value, simt::now->lane ^ mask);
}

struct Half;
inline float half_to_float(Half h);  // defined where Half is, in simt_library.h
inline Half float_to_half(float value);

inline int cluster_rank() { return simt::now->block->rank; }
inline void cluster_barrier() { simt::wait(simt::AT_CLUSTER); }
inline double cluster_read(const double* own, int rank) {
    auto offset = reinterpret_cast<const unsigned char*>(own) - simt::now->block->shared.data();
    return *reinterpret_cast<const double*>(simt::cluster->blocks[rank].shared.data() + offset);
}
