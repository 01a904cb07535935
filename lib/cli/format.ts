// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB']

export function formatBytes(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1)
  return `${(bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${UNITS[step]}`
}

/** Formats 1234567890 as '1.2 billion'. */
export function formatCount(count: number): string {
  const [divisor, name] = count < 1e9 ? [1e6, 'million'] : [1e9, 'billion']
  return `${(count / divisor).toFixed(1)} ${name}`
}

/** Formats 100 seconds as '1 min 40 s'. */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min ${whole % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
