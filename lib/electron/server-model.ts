// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors'
import type { NativeGeneration, NativeModel, NativePrompt, NativeSlot } from '../native'
import type { ModelFacts, NextReply } from './protocol'
import { method, ServerObject, type Method } from './server-object'
import { serveObject } from './session'

/** A model of the client that loaded it, which may share it with another. */
export function ownModel(native: NativeModel): ServerObject {
  return new ServerObject({
    facts: facts(native),
    methods: {
      ...modelMethods(native),
      dispose: () => native.dispose(),
      share: (_, { ports: [port] }) => {
        if (port === undefined) throw invalidArgument('ports', 'expected a port')
        serveObject(port, new ServerObject({ methods: { model: () => sharedModel(native) } }))
      },
    },
    drop: () => void native.dispose(),
  })
}

/** A model that belongs to another client. */
function sharedModel(native: NativeModel): ServerObject {
  return new ServerObject({
    facts: facts(native),
    methods: { ...modelMethods(native), dispose: () => {} },
  })
}

function facts(native: NativeModel): ModelFacts {
  return { info: native.info(), specialTokens: native.specialTokens() }
}

type GenerateArguments = [NativePrompt, string, slot?: number, cancelled?: boolean]

function modelMethods(native: NativeModel): Record<string, Method> {
  return {
    generate: method(([prompt, options, slot, cancelled]: GenerateArguments, { find }) => {
      const inSlot = slot === undefined ? null : find(slot)?.slot
      return generation(native.generate(prompt, options, inSlot, cancelled))
    }),
    slot: () => slotObject(native.slot()),
    encode: method((args: Parameters<NativeModel['encode']>) => native.encode(...args)),
    decode: method((args: Parameters<NativeModel['decode']>) => native.decode(...args)),
    applyChatTemplate: method((args: Parameters<NativeModel['applyChatTemplate']>) =>
      native.applyChatTemplate(...args),
    ),
  }
}

function generation(native: NativeGeneration): ServerObject {
  const next = async (): Promise<NextReply> => {
    const chunks = await native.next()
    return chunks === null ? { chunks, result: native.result() } : { chunks }
  }
  return new ServerObject({
    methods: { next, cancel: () => native.cancel() },
    drop: () => native.cancel(),
  })
}

function slotObject(slot: NativeSlot): ServerObject {
  return new ServerObject({
    slot,
    methods: { fork: () => slotObject(slot.fork()), free: () => slot.free() },
    drop: () => slot.free(),
  })
}
