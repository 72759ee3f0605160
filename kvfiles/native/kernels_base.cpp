#define KV_ISA kv_base
#include "kernels.inc"
