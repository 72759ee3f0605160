#define KV_ISA kv_avx512
#include "kernels.inc"
