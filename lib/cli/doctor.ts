// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { diagnose, type Check, type Installation } from '../doctor'
import type { Machine } from '../doctor/machine'
import type { Arguments } from './args'
import { formatBytes } from './format'
import { bold, dim, printable } from './style'

const WIDTH = 14
const MARKS = { passed: 'ok', failed: 'FAILED', skipped: 'skipped' }

/** Checks the installation, prints a report, and sets the exit code. */
export async function doctor({ operands, output }: Arguments): Promise<void> {
  if (operands.length > 0) throw new Error('doctor takes no arguments')
  const report = await diagnose(
    output.json
      ? {}
      : { onMachine: printMachine, onInstallation: printInstallation, onCheck: printCheck },
  )
  if (!report.passed) process.exitCode = 1
  if (output.json) console.log(JSON.stringify(report, null, 2))
  else print('\n', verdict(report.checks))
}

function printMachine(machine: Machine, version: string): void {
  const { system, chip, cores, gpus, memory, runtime, environment } = machine
  printRow('node-mlx', version)
  printRow('system', system)
  printRow('chip', `${chip}, ${cores} cores`)
  for (const gpu of gpus) printRow('GPU', gpu)
  printRow('memory', `${formatBytes(memory.total)}, ${formatBytes(memory.available)} available`)
  printRow('runtime', runtime)
  for (const [name, value] of Object.entries(environment)) printRow('variable', `${name}=${value}`)
}

function printInstallation({ mlxVersion, package: name, unused, files }: Installation): void {
  printRow('MLX', `${mlxVersion}, from ${name}`)
  if (unused !== undefined) printRow('not in use', `${unused.package}: ${unused.reason}`)
  for (const file of files) printRow('file', file)
}

function printRow(name: string, value: string): void {
  print('', `${name.padEnd(WIDTH)}${value}`)
}

function printCheck({ name, device, status, detail }: Check): void {
  const title = device === undefined ? name : `${device}: ${name}`
  const line = `${MARKS[status].padEnd(8)}${title.padEnd(28)}${detail}`
  print('', line, status)
}

function verdict(checks: readonly Check[]): string {
  const count = (wanted: Check['status']): number => {
    return checks.filter(({ status }) => status === wanted).length
  }
  const failed = count('failed') > 0 ? [`${count('failed')} failed`] : []
  return [...failed, `${count('passed')} passed`, `${count('skipped')} skipped`].join(', ')
}

/** Prints a line; what is wrong stands out on a terminal. */
function print(before: string, line: string, status?: Check['status']): void {
  const text = printable(line).replaceAll(/\s*\n\s*/gu, ' ')
  const styles = { failed: bold, skipped: dim, passed: (plain: string) => plain }
  console.log(before + styles[status ?? 'passed'](text, process.stdout))
}
