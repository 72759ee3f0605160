#define KV_ISA kv_avx2
#include "kernels.inc"
