"""The limits of real devices, and of one so small that small arrays need all kinds of plans."""

from tinygrad_bn.backends.cupy.planning import DeviceLimits

T4 = DeviceLimits((7, 5), 40, 64 * 1024, 64 * 1024)
A100 = DeviceLimits((8, 0), 108, 163 * 1024, 164 * 1024)
H100 = DeviceLimits((9, 0), 132, 227 * 1024, 228 * 1024, cluster=8)
B200 = DeviceLimits((10, 0), 148, 227 * 1024, 228 * 1024, cluster=8)
DEVICES = {"T4": T4, "A100": A100, "H100": H100, "B200": B200}

SMALL = DeviceLimits((9, 0), 4, 6 * 1024, 16 * 1024, threads_per_block=64, cluster=8)
OLD = DeviceLimits((7, 5), 2, 5 * 1024, 8 * 1024, threads_per_block=64)
