// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** A message, with the ports that were sent along. */
interface PortEvent {
  data: unknown
  ports: readonly AnyPort[]
}

/** A `MessagePortMain` of Electron. */
interface EmitterPort {
  postMessage(message: unknown, transfer?: AnyPort[]): void
  on(event: 'message', listener: (event: PortEvent) => void): unknown
  on(event: 'close', listener: () => void): unknown
  start(): void
  close(): void
}

/** A `MessagePort` of a page (to which Electron adds the event `close`) or of Node. */
interface EventTargetPort {
  postMessage(message: unknown, transfer?: AnyPort[]): void
  addEventListener(type: string, listener: (event: PortEvent) => void): void
  start(): void
  close(): void
}

/** One end of a message channel. */
export type AnyPort = EmitterPort | EventTargetPort

/** Calls back for each message, and once when the other end is gone. */
export function listen(
  port: AnyPort,
  onMessage: (message: unknown, ports: readonly AnyPort[]) => void,
  onClose: () => void,
): void {
  const onEvent = ({ data, ports }: PortEvent): void => onMessage(data, ports)
  if ('addEventListener' in port) {
    port.addEventListener('message', onEvent)
    port.addEventListener('close', onClose)
  } else {
    port.on('message', onEvent)
    port.on('close', onClose)
  }
  port.start()
}
