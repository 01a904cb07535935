// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Machine } from './machine'

/** What was checked. */
export interface Check {
  name: string
  /** The device that computed. */
  device?: string
  status: 'passed' | 'failed' | 'skipped'
  /** What was measured, or what is wrong, or why it was skipped. */
  detail: string
  /** What was measured: sizes in bytes. */
  values?: Record<string, number>
}

/** What was loaded. */
export interface Installation {
  mlxVersion: string
  /** The package with the addon. */
  package: string
  /** An extra package that is installed but not in use, and why. */
  unused?: { package: string; reason: string }
  devices: string[]
  /** The addon and the libraries that came with it. */
  files: string[]
}

export interface Report {
  passed: boolean
  version: string
  machine: Machine
  /** Missing if the addon does not load. */
  installation?: Installation
  checks: Check[]
}

/** What the process that checks tells the one that reports. */
export type ChildMessage =
  | { type: 'installation'; installation: Installation }
  | { type: 'start'; name: string }
  | { type: 'end'; check: Check }
