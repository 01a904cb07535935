// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What the CUDA build of MLX needs of the machine: a GPU, NVIDIA's libraries, and CUDA's headers, with which kernels are
// compiled when they are first used.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { RELEASE } from './wheels'

/** Libraries that MLX calls for what no model does. The package has stand-ins, for where they are missing. */
export const STAND_INS = ['libnccl.so.2', 'libcufft.so.12'] as const
/** NVIDIA's libraries that MLX is linked with, in the order in which they need each other. */
export const LIBRARIES = [
  'libnvrtc.so.13',
  'libcublasLt.so.13',
  'libcudnn.so.9',
  ...STAND_INS,
] as const
/** glibc's RTLD_NODELETE, which Node does not name: the library stays although Node closes it. */
const NODELETE = 0x1000
/** The oldest driver that CUDA 13 works with. */
const OLDEST_DRIVER = 580

/** The folder for what is downloaded or compiled for CUDA: `~/.cache/node-mlx`, or in `XDG_CACHE_HOME`. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'node-mlx')
}

/** The folder into which `node-mlx cuda install` puts NVIDIA's libraries. */
export function installFolder(): string {
  return join(cacheFolder(), `cuda-${RELEASE}`)
}

/** Returns why CUDA cannot be used on this machine, as far as can be known without loading it. */
export function gpuProblem(): string | undefined {
  // Windows Subsystem for Linux has the second.
  if (!names('/dev').some((name) => /^(?:nvidia\d+|dxg)$/u.test(name)))
    return 'there is no NVIDIA GPU, or no driver for it: /dev has no nvidia0'
  const driver = /\s(\d{3,})\.\d/u.exec(read('/proc/driver/nvidia/version'))?.[1]
  return driver !== undefined && Number(driver) < OLDEST_DRIVER
    ? `CUDA 13 needs NVIDIA's driver ${OLDEST_DRIVER} or later; this is ${driver}`
    : undefined
}

/** Returns why NVIDIA's driver offers no GPU, which a part of the package for CUDA asks it, before MLX is loaded. */
export function driverProblem(packageName: string): string | undefined {
  const problem = require(`${packageName}/lib/probe`) as string
  if (problem === '') return undefined
  const { CUDA_VISIBLE_DEVICES: visible } = process.env
  const hint = visible === undefined ? '' : ` (CUDA_VISIBLE_DEVICES is '${visible}')`
  return `NVIDIA's driver offers no GPU: ${problem}${hint}`
}

/** The paths of NVIDIA's libraries, by name, as far as they are in the usual folders. */
export function findLibraries(): Map<string, string> {
  const folders = libraryFolders()
  const found = LIBRARIES.flatMap((name) => {
    const path = folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
    return path === undefined ? [] : [[name, path] as const]
  })
  return new Map(found)
}

/** Loads NVIDIA's libraries, so that the addon finds them wherever they are. */
export function loadLibraries(): void {
  const found = findLibraries()
  for (const name of LIBRARIES) keepLoaded(found.get(name) ?? name)
}

/** Environment variables for MLX: a folder for compiled kernels, and the one of CUDA's headers if it must be told. */
export function cudaVariables(mlxVersion: string): Record<string, string> {
  const { CUDA_HOME, CUDA_PATH } = process.env
  const root = dirname(dirname(findLibraries().get(LIBRARIES[0]) ?? ''))
  const isToRead = existsSync(join(root, 'include/cuda_fp16.h'))
  return {
    MLX_PTX_CACHE_DIR: join(cacheFolder(), 'cuda-kernels', `mlx-${mlxVersion}`, gpuNames()),
    ...(!CUDA_HOME && !CUDA_PATH && isToRead && { CUDA_HOME: root }),
  }
}

/** Loads a library for as long as the process lives. Where that fails, the addon fails as well, and says why. */
function keepLoaded(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | NODELETE)
  } catch {
    // Node reports that it is no addon after loading it.
  }
}

/** Where CUDA, `node-mlx cuda install` and pip put libraries. */
function libraryFolders(): string[] {
  const { CUDA_HOME, CUDA_PATH, VIRTUAL_ENV, CONDA_PREFIX } = process.env
  const versions = names('/usr/local').filter((name) => /^cuda-13\b/u.test(name))
  const toolkits = [CUDA_HOME, CUDA_PATH, installFolder(), '/usr/local/cuda'].concat(
    versions.map((name) => join('/usr/local', name)),
  )
  const prefixes = [VIRTUAL_ENV, CONDA_PREFIX, join(homedir(), '.local'), '/usr/local', '/usr']
  return [
    ...toolkits.flatMap((root) => (root ? [join(root, 'lib64'), join(root, 'lib')] : [])),
    ...prefixes.flatMap((prefix) => (prefix ? pythonFolders(prefix) : [])),
  ]
}

/** The folders of the wheels that pip has installed under this prefix. */
function pythonFolders(prefix: string): string[] {
  const pythons = names(join(prefix, 'lib')).filter((name) => name.startsWith('python3'))
  const sites = pythons.flatMap((python) =>
    ['site-packages', 'dist-packages'].map((site) => join(prefix, 'lib', python, site, 'nvidia')),
  )
  return sites.flatMap((site) => names(site).map((name) => join(site, name, 'lib')))
}

/** The models of NVIDIA's GPUs, as the driver names them. */
export function gpuModels(): string[] {
  const folder = '/proc/driver/nvidia/gpus'
  return names(folder).flatMap((gpu) => {
    const information = read(join(folder, gpu, 'information'))
    return /^Model:\s*(.*\S)/mu.exec(information)?.[1] ?? []
  })
}

/** The models of the GPUs, for the name of a folder: compiled kernels are for one kind of GPU. */
function gpuNames(): string {
  const models = gpuModels().map((model) => model.replaceAll(/[^\w.-]+/gu, '-'))
  return [...new Set(models)].toSorted().join('+') || 'gpu'
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
