// Marks of functions that both the host and a GPU run, where a CUDA compiler reads them.
#pragma once

#ifdef __CUDACC__
#define MASKMILL_HD __host__ __device__ __forceinline__
#else
#define MASKMILL_HD inline
#endif
