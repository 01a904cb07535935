// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Chooses the package that the addon is loaded from: an extra one, if the user has installed it and it fits this
// machine, or else the one that comes with node-mlx. The choice is made before loading: a process cannot have two MLX.

import { release } from 'node:os'
import { isPacked, UNPACK_LINES } from './asar'
import { cudaVariables, driverProblem, gpuProblem, loadLibraries } from './cuda/find'
import { NodeMlxError } from './errors'

type Addon = typeof import('../index.js')
type Manifest = { version: string }

const { version } = require('../package.json') as Manifest

/** The packages that come with node-mlx, by platform. */
const PACKAGES: Readonly<Record<string, string>> = {
  'darwin-arm64': 'node-mlx-darwin-arm64',
  'linux-arm64': 'node-mlx-linux-arm64-gnu',
  'linux-x64': 'node-mlx-linux-x64-gnu',
  'win32-x64': 'node-mlx-win32-x64-msvc',
}

/** A package with another build of MLX, for some machines only. */
interface Extra {
  name: string
  /** Returns why it cannot be used on this machine. */
  problem: (name: string) => string | undefined
  /** Loads what the addon needs. */
  prepare?: () => void
  /** Returns environment variables for MLX. */
  variables?: (mlxVersion: string) => Record<string, string>
  /** What to do if it does not load. */
  advice?: string
}

const EXTRAS: Readonly<Record<string, Extra>> = {
  'darwin-arm64': { name: 'node-mlx-darwin-arm64-macos26', problem: macosProblem },
  'linux-x64': {
    name: 'node-mlx-linux-x64-cuda',
    problem: (name) => gpuProblem() ?? driverProblem(name),
    prepare: loadLibraries,
    variables: cudaVariables,
    advice: "; 'npx node-mlx cuda install' downloads NVIDIA's libraries",
  },
}

/** What libmlx is linked with on Windows, which does not come with it. */
const VISUAL_CPP =
  "Microsoft's Visual C++ Redistributable, https://aka.ms/vs/17/release/vc_redist.x64.exe"

/** macOS 26.2 as the version of its kernel. */
const OLDEST_DARWIN = [25, 2] as const

/** Which build of MLX is in use. */
export interface Binary {
  /** The package that it is from. */
  package: string
  /** An extra package that is installed but not in use, and why. */
  unused?: { package: string; reason: string }
}

/** Loads the addon. */
export function loadBinary(): { addon: Addon; binary: Binary } {
  const platform = `${process.platform}-${process.arch}`
  const name = PACKAGES[platform]
  const extra = EXTRAS[platform]
  if (extra === undefined || !isInstalled(extra.name)) {
    return { addon: loadOwn(platform, name), binary: { package: name ?? platform } }
  }
  const loaded = loadExtra(extra)
  if (typeof loaded !== 'string') return { addon: loaded, binary: { package: extra.name } }
  const unused = { package: extra.name, reason: loaded }
  return { addon: loadOwn(platform, name, unused), binary: { package: name ?? platform, unused } }
}

/** Loads the addon of an extra package, or returns why it is not used. */
function loadExtra({ name, problem, prepare, variables, advice = '' }: Extra): Addon | string {
  const installed = (require(`${name}/package.json`) as Manifest).version
  if (installed !== version) return `its version is ${installed}: install ${name}@${version}`
  try {
    const reason = problem(name)
    if (reason !== undefined) return reason
    prepare?.()
    const addon = require(name) as Addon
    const wanted = Object.entries(variables?.(addon.mlxVersion()) ?? {})
    for (const [variable, value] of wanted) addon.setDefaultVariable(variable, value)
    return addon
  } catch (error) {
    return `it does not load: ${(error as Error).message}${advice}`
  }
}

function loadOwn(platform: string, name: string | undefined, unused?: Binary['unused']): Addon {
  try {
    return require('../index.js') as Addon
  } catch (cause) {
    const reason = name === undefined ? undefined : loadError(cause)
    throw new NodeMlxError(
      'ERR_BINARY_MISSING',
      `node-mlx has no working binary for ${platform}: ${whatToDo(name, reason)}`,
      {
        cause,
        details: {
          platform,
          ...(name !== undefined && { package: name }),
          ...(reason !== undefined && { reason }),
          ...(unused !== undefined && { unused }),
        },
      },
    )
  }
}

/** What to do about a package that is missing or does not load. */
function whatToDo(name: string | undefined, reason: string | undefined): string {
  if (name === undefined) return `the available packages are ${Object.values(PACKAGES).join(', ')}`
  if (isInArchive(name))
    return `${name} and its libraries do not load from an asar archive; unpack them, ${UNPACK_LINES}`
  if (reason !== undefined) {
    const runtime = name.includes('-win32-') ? ` (it needs ${VISUAL_CPP})` : ''
    return `the package ${name} is installed, but does not load: ${reason}${runtime}`
  }
  return `install the package ${name} (run npm install without --omit=optional), or build it with 'npm run build'`
}

function isInArchive(name: string): boolean {
  try {
    return isPacked(require.resolve(name))
  } catch {
    return false
  }
}

/**
 * Why the addon does not load: the first of the causes that is more than a missing module. napi's loader tries several
 * modules, and keeps the messages of their errors, but not the codes.
 */
function loadError(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause)
    if (!each.message.startsWith('Cannot find ')) return each.message
  return undefined
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(`${name}/package.json`)
    return true
  } catch {
    return false
  }
}

function macosProblem(): string | undefined {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  const [oldest, oldestMinor] = OLDEST_DARWIN
  return major > oldest || (major === oldest && minor >= oldestMinor)
    ? undefined
    : 'it needs macOS 26.2 or later'
}
