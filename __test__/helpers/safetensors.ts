// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Reads and writes safetensors files, right ones and wrong ones: eight bytes of header length, a JSON header,
// the data.

export interface Tensor {
  dtype: string
  shape: number[]
  data: Uint8Array
}

export type Tensors = Map<string, Tensor>

export interface HeaderEntry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

export type Header = Record<string, HeaderEntry>

export function parseSafetensors(file: Uint8Array): Tensors {
  const { header, data } = split(file)
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]) => [name, { dtype, shape, data: data.slice(start, end) }],
    ),
  )
}

export function writeSafetensors(tensors: Tensors): Uint8Array {
  const header: Header = {}
  let offset = 0
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] }
    offset += data.length
  }
  return joinHeader(JSON.stringify(header), ...[...tensors.values()].map((tensor) => tensor.data))
}

/** The same file with its header changed, and its data as it was. */
export function editHeader(
  file: Uint8Array,
  edit: (header: Header) => Header | string,
): Uint8Array {
  const { header, data } = split(file)
  const edited = edit(header)
  return joinHeader(typeof edited === 'string' ? edited : JSON.stringify(edited), data)
}

/** The same file claiming another length of its header. */
export function withHeaderLength(file: Uint8Array, length: bigint): Uint8Array {
  const changed = Buffer.from(file)
  changed.writeBigUInt64LE(length)
  return changed
}

/** The same file with its header made this long by spaces, which mean nothing. */
export function padHeader(file: Uint8Array, length: number): Uint8Array {
  const { header, data } = split(file)
  return joinHeader(JSON.stringify(header).padEnd(length), data)
}

export function floats(shape: number[], values: ArrayLike<number>): Tensor {
  return { dtype: 'F32', shape, data: new Uint8Array(Float32Array.from(values).buffer) }
}

function split(file: Uint8Array): { header: Header; data: Uint8Array } {
  const bytes = Buffer.from(file)
  const start = 8 + Number(bytes.readBigUInt64LE())
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, start)) as Header
  return { header, data: bytes.subarray(start) }
}

/** A file of this header and data. */
export function joinHeader(header: string, ...data: Uint8Array[]): Uint8Array {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...data])
}

/** Turns bf16 tensors into f32, which changes no number. */
export function widen(tensors: Tensors): void {
  for (const [name, { dtype, shape, data }] of tensors) {
    if (dtype !== 'BF16') continue
    const wide = new Uint8Array(data.length * 2)
    data.forEach((byte, index) => (wide[index * 2 - (index % 2) + 2] = byte))
    tensors.set(name, { dtype: 'F32', shape, data: wide })
  }
}

/** The numbers of an I32 tensor. */
export function integers(tensors: Tensors, name: string): number[] {
  const tensor = tensors.get(name)
  if (tensor?.dtype !== 'I32') throw new Error(`no integers called ${name}`)
  return [...new Int32Array(Uint8Array.from(tensor.data).buffer)]
}

export function numbers(tensors: Tensors, name: string): number[] {
  const tensor = tensors.get(name)
  if (tensor?.dtype !== 'F32') throw new Error(`no numbers called ${name}`)
  return [...new Float32Array(Uint8Array.from(tensor.data).buffer)]
}

/** A BF16 tensor as F32. */
export function fromBfloat16({ shape, data }: Tensor): Tensor {
  const bits = new Uint16Array(Uint8Array.from(data).buffer)
  const wide = Uint32Array.from(bits, (half) => half * 2 ** 16)
  return { dtype: 'F32', shape, data: new Uint8Array(wide.buffer) }
}
