// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { findLibraries, gpuProblem, LIBRARIES, STAND_INS } from '../cuda/find'
import { installCuda } from '../cuda/install'
import type { Arguments } from './args'
import { useProxies } from './hub'
import { progressBar } from './progress'

const PACKAGE = 'node-mlx-linux-x64-cuda'

/** `cuda` says whether the NVIDIA GPU is used, and why not; `cuda install` downloads NVIDIA's libraries. */
export async function cuda({ operands }: Arguments): Promise<void> {
  if (`${process.platform}-${process.arch}` !== 'linux-x64')
    throw new Error('NVIDIA GPUs are used on Linux x64 only')
  const [action] = operands
  if (operands.length > 1 || (action !== undefined && action !== 'install'))
    throw new Error("expected 'cuda' or 'cuda install'")
  if (action === 'install') {
    useProxies()
    const folder = await installCuda({ onProgress: progress() })
    console.error("NVIDIA's license terms are in the files LICENSE-*.txt of this folder:")
    console.log(folder)
  } else await report()
}

/** Prints how much has been downloaded. */
function progress(): (loaded: number, total: number) => void {
  const show = progressBar()
  const file = "NVIDIA's libraries"
  return (loaded, total) =>
    show?.({ stage: 'download', file, fileLoaded: loaded, fileTotal: total, loaded, total })
}

async function report(): Promise<void> {
  const found = findLibraries()
  for (const name of LIBRARIES)
    console.log(`${name.padEnd(18)} ${found.get(name) ?? absence(name)}`)
  console.log(`${'GPU'.padEnd(18)} ${gpuProblem() ?? 'there is a driver'}`)
  // Loaded only now, so that the rest is printed even if no addon loads.
  const { binary } = await import('../index.js')
  const { package: used, unused } = binary()
  const reason = unused?.reason ?? `it is not installed (npm install ${PACKAGE})`
  console.log(used === PACKAGE ? `${PACKAGE} is in use` : `${PACKAGE} is not in use: ${reason}`)
}

function absence(name: string): string {
  return (STAND_INS as readonly string[]).includes(name)
    ? 'not needed'
    : "not in the usual folders; 'npx node-mlx cuda install' downloads it"
}
