// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import Ajv from 'ajv'
import Ajv2020 from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** Schemas that Ajv 8 does not load, or misreads, by `$id`s within: what they mean. */
const PLAIN = {
  'refs with relative uris and defs': nested(),
  'relative refs with absolute uris and defs': nested(),
  'URN ref with nested pointer ref': { type: 'string' },
  '$ref prevents a sibling $id from changing the base uri': { type: 'number' },
}

function nested() {
  const bar = { type: 'string' }
  return { properties: { foo: { properties: { bar } }, bar } }
}

/** Ajv's validation of a schema of the suite. */
export function validator({ draft, name, schema }) {
  const Validator = draft === 'draft7' ? Ajv.default : Ajv2020.default
  const ajv = new Validator({
    strict: false,
    logger: false,
    // What every object has by inheritance is no property.
    ownProperties: true,
    // 8.6787 is a multiple of 0.0001, though not for floating-point division.
    multipleOfPrecision: 8,
  })
  addFormats.default(ajv)
  return ajv.compile(PLAIN[name.slice(name.indexOf(': ') + 2)] ?? schema)
}
