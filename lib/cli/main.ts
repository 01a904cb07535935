// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Model } from '../model'
import type { GenerateOptions, Message } from '../types'
import { printError, writeAnswer } from './answer'
import { HELP, parseArguments, type Arguments } from './args'
import { chat } from './chat'
import { cuda } from './cuda'
import { list, pull, remove, useProxies } from './hub'
import { readQuestion } from './input'
import { inspect } from './inspect'
import { progressBar } from './progress'

/** Defaults for what the command line omits. */
export interface Defaults {
  model?: string
  /** Used if there is no prompt, no terminal and no input. */
  question?: string
}

/** Runs the command-line program. Sets `process.exitCode`; never rejects. */
export async function main(args: readonly string[], defaults: Defaults = {}): Promise<void> {
  // The reader has closed the pipe (`| head`).
  process.stdout.on('error', () => process.exit())
  try {
    await dispatch(parseArguments(args), defaults)
  } catch (error) {
    printError(error)
    process.exitCode = 1
  }
}

async function dispatch(args: Arguments, defaults: Defaults): Promise<void> {
  switch (args.command) {
    case 'help':
      console.log(HELP)
      return
    case 'inspect':
      return inspect(args)
    case 'cuda':
      return cuda(args)
    case 'doctor':
      return (await import('./doctor.js')).doctor(args)
    case 'bench':
      return (await import('./bench.js')).bench(args)
    case 'pull':
      return pull(args)
    case 'ls':
      return list(args)
    case 'rm':
      return remove(args)
    case 'serve':
      return (await import('./serve.js')).serve(args)
    default:
      return answer(args, defaults)
  }
}

async function answer(args: Arguments, defaults: Defaults): Promise<void> {
  // Loaded only now, so that --help works even if the addon does not load.
  const { loadModel, version } = await import('../index.js')
  if (args.command === 'version') {
    console.log(version)
    return
  }
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true
  const talks =
    args.command === 'chat' || (isTerminal && !args.command && args.operands.length === 0)
  if (talks && args.prefill !== undefined)
    throw new Error('--prefill-response cannot be used in a chat')
  const id = args.model ?? defaults.model ?? (talks && isTerminal ? await choose() : undefined)
  if (id === undefined) throw new Error('no model given; use --model ID|PATH (see --help)')
  const given = args.operands.join(' ')
  const prompt = talks ? '' : given || (await readQuestion(defaults.question))
  const system: Message[] =
    args.system === undefined ? [] : [{ role: 'system', content: args.system }]
  const prefill: Message[] =
    args.prefill === undefined ? [] : [{ role: 'assistant', content: args.prefill }]

  useProxies()
  const { revision, adapter, draft: draftOf } = args
  const models = [await loadModel(id, { revision, adapter, onProgress: progressBar() })]
  try {
    if (draftOf) models.push(await loadModel(draftOf.id, { onProgress: progressBar() }))
    const [model, draft] = models as [Model, Model?]
    const options: GenerateOptions = {
      ...args.options,
      ...(draft && { speculative: { draft, tokens: draftOf?.tokens } }),
    }
    if (talks) await chat(model, args.system, options, args.output)
    else
      await writeAnswer(
        model.generate([...system, { role: 'user', content: prompt }, ...prefill], {
          ...options,
          continueFinalMessage: prefill.length > 0,
        }),
        args.output,
      )
  } finally {
    for (const each of models) await each.dispose()
  }
}

async function choose(): Promise<string | undefined> {
  const { chooseModel } = await import('./picker.js')
  return chooseModel()
}
