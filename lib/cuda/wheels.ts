// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** The release of CUDA that `node-mlx cuda install` fetches. */
export const RELEASE = '13.2'

/** A package of NVIDIA's on the Python Package Index, in a version that was tried with MLX. */
export interface Wheel {
  name: string
  file: string
  /** In bytes. */
  size: number
  sha256: string
}

/** The libraries that MLX is linked with, and the headers from which it compiles kernels. */
export const WHEELS: readonly Wheel[] = [
  {
    name: 'nvidia-cuda-runtime',
    file: 'nvidia_cuda_runtime-13.2.86-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    size: 2_323_576,
    sha256: '3498247680dfddce31bad102af7e3e26fc795342a3cac64722bb0fa95e7f60f0',
  },
  {
    name: 'nvidia-cuda-crt',
    file: 'nvidia_cuda_crt-13.2.86-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    size: 133_300,
    sha256: 'e3ab08801bf9b1e6dc979275d25e816bb5000521b648e19c324d5eef0c79f1da',
  },
  {
    name: 'nvidia-cuda-nvrtc',
    file: 'nvidia_cuda_nvrtc-13.2.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    size: 47_018_468,
    sha256: '8111c5130e967b78222ea2124145f8efe9ce201b752b2579a2513100a53be1c5',
  },
  {
    name: 'nvidia-cublas',
    file: 'nvidia_cublas-13.4.1.3-py3-none-manylinux_2_27_x86_64.whl',
    size: 404_870_805,
    sha256: 'a5917cb642cfb07f4a0231ee16aec7e2e0357d8cb8b1b78a0c9c68dba3e6afc7',
  },
  {
    name: 'nvidia-cudnn-cu13',
    file: 'nvidia_cudnn_cu13-9.26.0.51-py3-none-manylinux_2_27_x86_64.whl',
    size: 519_150_073,
    sha256: '9c976d539786698c71d6bcdbe2053b7485fae062ff7e1215d2f2ff67b1a2149a',
  },
]
