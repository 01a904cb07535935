// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What runs each program, npm script, cargo target and documented command of this repository. A value is one of
// - `FILE > TEXT`: a test of that title (… cuts it) in a spec, or what another file (or one of a folder) runs by that text
// - another key: whatever runs that one runs this one, too

const TEST = 'npm test'
const CONSUMER = '__test__/consumer/run.mjs'
const ENVIRONMENTS = '__test__/consumer/environments.mjs'
const NODE = '__test__/programs/node.spec.ts'
const PYTHON = '__test__/programs/python.spec.ts'
const BUILD = '__test__/programs/build.spec.ts'
const CLI = '__test__/cli.spec.ts'
const DOCTOR = '__test__/doctor.spec.ts'
const TERMINAL = '__test__/terminal.spec.ts'
const PORT_STATUS = '__test__/port-status.spec.ts'
const EXAMPLES = '__test__/examples.spec.ts > examples/%s runs'
const ELECTRON = '__test__/electron/run.mjs'
const FORGE_TEMPLATE = `${ELECTRON} > packageForge`
const VITE_TEMPLATE = `${ELECTRON} > packageVite`
const SNIPPETS = '__test__/snippets.spec.ts > the commands of the package run'
const PACKAGES = '.github/workflows > python3 scripts/cross/run_arm64.py'
const FUZZ = '.github/workflows > npm run fuzz'
const RELEASE = '__test__/release.spec.ts'

export const PROGRAMS: Record<string, string> = {
  // What runs all the others
  'scripts/check.mjs': 'npm run check',
  'scripts/test.mjs': TEST,
  'tools/parity/run.py': 'npm run parity',
  'vitest.config.mts': "scripts/test.mjs > bin('vitest')",

  // Scripts
  'scripts/layers.mjs': 'scripts/check.mjs > scripts/layers.mjs',
  'scripts/tokenizers.mjs': 'scripts/test.mjs > scripts/tokenizers.mjs',
  'scripts/ruff.mjs': 'scripts/check.mjs > scripts/ruff.mjs',
  'scripts/build.mjs': 'npm run build',
  'scripts/docs.mjs': 'npm run docs',
  'docs/.vitepress/config.mjs': "scripts/docs.mjs > ['vitepress', 'build']",
  'scripts/cross/check.py': 'scripts/pack.mjs > scripts/cross/check.py',
  'scripts/cross/check_macos.py': '.github/workflows > python3 scripts/cross/check_macos.py',
  'scripts/cross/check_windows.py': '.github/workflows > python3 scripts/cross/check_windows.py',
  'scripts/cross/compress.py': 'scripts/pack.mjs > scripts/cross/compress.py',
  'scripts/cross/darwin.py': 'scripts/cross/toolchain.py > "darwin.py"',
  'scripts/cross/run_arm64.py': PACKAGES,
  'scripts/cross/sdk.py': 'scripts/cross/toolchain.py > "sdk.py"',
  'scripts/cross/toolchain.py': 'scripts/build-steps.mjs > scripts/cross/toolchain.py',
  'scripts/fuzz.mjs': `${NODE} > npm run fuzz knows every target of fuzz/Cargo.toml`,
  'scripts/pack.mjs': `${CONSUMER} > scripts/pack.mjs`,
  'scripts/release.mjs': `${RELEASE} > a tag is published with its notes; what npm has already is left out`,
  'scripts/start.mjs': `${CLI} > answers a question`,

  // Tests that are no specs, and programs that specs start
  '__test__/cargo-examples.mjs': 'scripts/test.mjs > __test__/cargo-examples.mjs',
  '__test__/consumer/run.mjs': 'scripts/test.mjs > __test__/consumer/run.mjs',
  '__test__/consumer/app/ask.mjs': '__test__/consumer/bundlers.mjs > ask.mjs',
  '__test__/consumer/app/common.cjs': `${ENVIRONMENTS} > common.cjs`,
  '__test__/consumer/app/esbuild.mjs': '__test__/consumer/bundlers.mjs > ../esbuild.mjs',
  '__test__/consumer/app/jest.test.cjs': `${ENVIRONMENTS} > jest/bin/jest.js`,
  '__test__/consumer/app/strict.cts': `${ENVIRONMENTS} > typescript/bin/tsc`,
  '__test__/consumer/app/strict.mts': `${ENVIRONMENTS} > compiled/strict.mjs`,
  '__test__/consumer/app/vitest.test.mjs': `${ENVIRONMENTS} > vitest.test.mjs`,
  '__test__/consumer/app/worker.mjs': `${ENVIRONMENTS} > worker.mjs`,
  '__test__/electron/run.mjs': 'npm run test:electron',
  '__test__/electron/app/cases.cjs': "__test__/electron/app/main.cjs > require('./cases.cjs')",
  '__test__/electron/app/page.mjs': '__test__/electron/app/cases.cjs > page.html',
  '__test__/electron/app/driver.cjs': '__test__/electron/templates.mjs > app/driver.cjs',
  '__test__/electron/app/main.cjs': `${ELECTRON} > 'app')`,
  '__test__/helpers/child-main.mjs': '__test__/helpers/child.ts > child-main.mjs',
  '__test__/helpers/exit-main.mjs': '__test__/faults/exit.spec.ts > row 46: %s midway …',
  '__test__/helpers/rows-reporter.ts': 'vitest.config.mts > rows-reporter.ts',
  '__test__/helpers/worker-main.mjs': '__test__/faults/exit.spec.ts > row 47: worker.terminate() …',

  // Benchmarks and the soak
  '__test__/bench/bandwidth.py': `${PYTHON} > npm run bench -- --quick llama-cpp`,
  '__test__/bench/chat.mjs': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  '__test__/bench/cold.mjs': `${NODE} > speed.mjs, load-once.mjs and cold.mjs measure node-mlx`,
  '__test__/bench/cold.py': `${PYTHON} > npm run bench -- --quick speed cold load`,
  '__test__/bench/llama-cpp-speed.mjs': `${PYTHON} > npm run bench -- --quick llama-cpp`,
  '__test__/bench/load-once.mjs': `${NODE} > speed.mjs, load-once.mjs and cold.mjs measure node-mlx`,
  '__test__/bench/load.py': `${PYTHON} > npm run bench -- --quick speed cold load`,
  '__test__/bench/make_gguf.py': `${PYTHON} > npm run bench -- --quick llama-cpp`,
  '__test__/bench/make_model.py': `${PYTHON} > make_model.py and quantize.py make a model that loads`,
  '__test__/bench/options.mjs': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  '__test__/bench/run.mjs': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  '__test__/bench/speed.mjs': `${NODE} > speed.mjs, load-once.mjs and cold.mjs measure node-mlx`,
  '__test__/bench/speculative.mjs': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  '__test__/bench/speed.py': `${PYTHON} > npm run bench -- --quick speed cold load`,
  '__test__/schemas/run.mjs': `${PYTHON} > npm run schemas holds a model to schemas of the public test suite`,
  '__test__/soak/run.mjs': `${NODE} > npm run soak -- --quick`,
  '__test__/soak/scenarios.mjs': `${NODE} > npm run soak -- --quick`,

  // Examples
  'examples/ai-sdk.mts': EXAMPLES,
  'examples/child-process.mts': EXAMPLES,
  'examples/conversation.mts': EXAMPLES,
  'examples/express.mts': EXAMPLES,
  'examples/fetch-handler.mts': EXAMPLES,
  'examples/json.mts': EXAMPLES,
  'examples/openai.mts': EXAMPLES,
  'examples/parallel.mjs': EXAMPLES,
  'examples/search.mts':
    '__test__/examples.spec.ts > examples/search.mts finds what answers a question',
  'examples/stateless.mts': EXAMPLES,
  'examples/stream.mjs': EXAMPLES,
  'examples/tools.mts': EXAMPLES,
  'examples/two-models.mts': EXAMPLES,

  // Templates for Electron
  'examples/electron-forge/forge.config.js': FORGE_TEMPLATE,
  'examples/electron-forge/main.js': FORGE_TEMPLATE,
  'examples/electron-forge/renderer.mjs': FORGE_TEMPLATE,
  'examples/electron-vite/electron.vite.config.ts': VITE_TEMPLATE,
  'examples/electron-vite/src/main/index.ts': VITE_TEMPLATE,
  'examples/electron-vite/src/preload/index.ts': VITE_TEMPLATE,
  'examples/electron-vite/src/renderer/main.ts': VITE_TEMPLATE,

  // Tools
  'fuzz/addon/run.mjs': `${NODE} > fuzz/addon/run.mjs %s finds no fault`,
  'fuzz/addon/worker.mjs': 'fuzz/addon/run.mjs > worker.mjs',
  'fuzz/seeds.mjs': `${NODE} > fuzz/seeds.mjs writes the committed seeds`,
  'mlx-sys/generate_bindings.py': `${BUILD} > generate_bindings.py calls bindgen on the headers of mlx-c`,
  'tools/demo-model/corpus/__main__.py': `${PYTHON} > python -m corpus shows conversations`,
  'tools/demo-model/corpus/heldout.py': `${PYTHON} > python -m corpus.heldout writes the committed set`,
  'tools/demo-model/evaluate.mjs': `${NODE} > answers a sample of the held-out set well enough`,
  'tools/demo-model/evaluate.py': `${PYTHON} > tools/demo-model/evaluate.py judges an answer`,
  'tools/demo-model/quantize.py': `${PYTHON} > make_model.py and quantize.py make a model that loads`,
  'tools/demo-model/train.py': `${PYTHON} > tools/demo-model/train.py trains for a step`,
  'tools/parity/arm64.py': `${PYTHON} > tools/parity/arm64.py --list: every fixture is committed`,
  'tools/parity/embedders.py': `${PYTHON} > tools/parity/embedders.py writes the committed fixtures`,
  'tools/parity/fixtures.py': 'tools/parity/run.py > fixtures.py',
  'tools/parity/mutations.py': `${PYTHON} > npm run mutations -- --list: every mistake can be planted`,
  'tools/parity/operations.py': 'tools/parity/budget.py > operations.py',
  'tools/parity/real_tokenizers.py': `${PYTHON} > tools/parity/real_tokenizers.py writes the committed goldens`,
  'tools/parity/tokenizer_goldens.py': 'tools/parity/fixtures.py > tokenizer_goldens.write(',
  'tools/parity/tool_calls.py': 'tools/parity/fixtures.py > tool_calls.write(',
  'tools/parity/transformers_oracle.py': `${PYTHON} > tools/parity/transformers_oracle.py --list names the committed fixtures`,
  'tools/parity/venv.py': 'tools/parity/run.py > venv.ensure()',
  'tools/terminal-recording/record.mjs':
    '__test__/terminal-recording.spec.ts > records a chat, and draws it',
  'tools/port-status.mjs': `${PORT_STATUS} > lists what is ported`,
}

export const NPM_SCRIPTS: Record<string, string> = {
  'npm start': 'scripts/start.mjs',
  'npm run build': `${BUILD} > npm run build runs napi, tsc and rolldown`,
  'npm test': '.ci/run > npm test',
  'npm run check': '.ci/run > npm run --silent check',
  'npm run format': `${BUILD} > npm run format formats JavaScript, Rust and Python`,
  'npm run docs': '.github/workflows > npm run docs',
  'npm run pack': 'scripts/pack.mjs',
  'npm run release': 'scripts/release.mjs',
  'npm run parity': '.ci/run > npm run --silent parity',
  'npm run mutations': 'tools/parity/mutations.py',
  'npm run bench': '__test__/bench/run.mjs',
  'npm run schemas': '__test__/schemas/run.mjs',
  'npm run soak': '__test__/soak/run.mjs',
  'npm run fuzz': FUZZ,
  'npm run test:consumer': '.github/workflows > npm run test:consumer',
  'npm run test:electron': '.github/workflows > npm run test:electron',
  'npm run port-status': 'tools/port-status.mjs',
}

export const CARGO_TARGETS: Record<string, string> = {
  'cargo --test parity': "scripts/test.mjs > kind.includes('test')",
  'cargo --test transformers': "scripts/test.mjs > kind.includes('test')",
  'cargo --test tokenizers': "scripts/test.mjs > kind.includes('test')",
  'cargo --test configs': "scripts/test.mjs > kind.includes('test')",
  'cargo --test grammars': "scripts/test.mjs > kind.includes('test')",
  'cargo --test matmul': "scripts/test.mjs > kind.includes('test')",
  'cargo --test ops': "scripts/test.mjs > kind.includes('test')",
  'cargo --test sampling': "scripts/test.mjs > kind.includes('test')",
  'cargo --example products': "__test__/cargo-examples.mjs > run('products'",
  'cargo --example speed': "__test__/cargo-examples.mjs > run('speed'",
  'cargo --example operations': "__test__/cargo-examples.mjs > run('operations'",
  'cargo --example load-tokenizer': "__test__/cargo-examples.mjs > run('load-tokenizer'",
  'cargo --example masks': "__test__/cargo-examples.mjs > run('masks'",
  'cargo --example rows': "__test__/cargo-examples.mjs > run('rows'",
  'cargo --example chat-templates': "__test__/cargo-examples.mjs > run('chat-templates'",
  'cargo --bin safetensors_header': 'npm run fuzz',
  'cargo --bin index_json': 'npm run fuzz',
  'cargo --bin config_json': 'npm run fuzz',
  'cargo --bin generation_config': 'npm run fuzz',
  'cargo --bin tokenizer_json': 'npm run fuzz',
  'cargo --bin chat_template': 'npm run fuzz',
  'cargo --bin generate_options': 'npm run fuzz',
  'cargo --bin streaming': 'npm run fuzz',
}

/** npm scripts without arguments are in NPM_SCRIPTS. */
export const DOCUMENTED: Record<string, string> = {
  '.ci/run': '.github/workflows > bash .ci/run',
  'npm test -- --project programs': '.ci/run > npm test --silent -- --project programs',
  'npm start -- "question"': `${CLI} > answers a question`,
  'npm run bench -- load': `${PYTHON} > npm run bench -- --quick speed cold load`,
  'npm run bench -- options': '__test__/bench/options.mjs',
  'npm run bench -- chat': '__test__/bench/chat.mjs',
  'npm run bench -- speculative': '__test__/bench/speculative.mjs',
  'npm run bench -- tokenizer': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  'npm run bench -- llama-cpp': '__test__/bench/llama-cpp-speed.mjs',
  'npm run bench -- masks': `${NODE} > npm run bench -- --quick options chat speculative masks tokenizer`,
  'npm run schemas -- --write': '__test__/schemas/run.mjs',
  'npm run fuzz -- 300 streaming': 'npm run fuzz',
  'npm run parity -- --write': `${PYTHON} > npm run parity -- --write writes a table like docs/parity.md`,
  'npm run port-status -- ../mlx-lm [--rev <revision>] [--diff]': `${PORT_STATUS} > at another revision`,
  "npm run port-status -- <the oracle's site-packages> --clone ../mlx-lm --write-baseline": `${PORT_STATUS} > without one: what differs from the baseline`,
  'npm run pack -- --all': '.github/workflows > npm run pack -- --all',
  'npm run release -- --dry-run': `${RELEASE} > a rehearsal lists every problem`,
  'npm run release -- 0.2.0': `${RELEASE} > a release sets the version everywhere, dates the changelog, commits and tags`,
  'python3 scripts/cross/run_arm64.py __test__/models.spec.ts': 'scripts/cross/run_arm64.py',
  'python3 scripts/cross/check_macos.py': 'scripts/cross/check_macos.py',
  'python3 scripts/cross/check_windows.py': 'scripts/cross/check_windows.py',
  'npx node-mlx cuda install':
    '__test__/cuda.spec.ts > installs libraries, headers and licenses, once',
  'npm install <checkout>/target/packages/*.tgz': `${CONSUMER} > ['npm', 'install'`,
  'npx node-mlx': `${TERMINAL} > offers models that fit into memory, those in the cache first`,
  'npx node-mlx serve ID': '__test__/server/cli.spec.ts > serves models until it is interrupted',
  'npx node-mlx serve': '__test__/server/cli.spec.ts > serves models until it is interrupted',
  'npx node-mlx --help': `${CLI} > prints its version and its help`,
  'npm install node-mlx': `${ENVIRONMENTS} > ['npm', 'install'`,
  'node app.mjs': '__test__/snippets.spec.ts > the code that is marked runs',
  'npx node-mlx --model mlx-community/Qwen3-0.6B-4bit "What is the capital of France?"': SNIPPETS,
  'npx node-mlx doctor': `${DOCTOR} > a whole installation passes, and the report has what one asks for first`,
  'npx node-mlx bench ID':
    '__test__/bench.spec.ts > both models are measured at both depths, with the same numbers of tokens',
  'npx node-mlx chat --model ID': `${CLI} > chats line by line`,
  'npx node-mlx chat --model mlx-community/Qwen3-0.6B-4bit': SNIPPETS,
  'npx node-mlx inspect ID': `${CLI} > prints a model's properties and memory needs`,
  'npx node-mlx inspect mlx-community/Qwen3-8B-4bit --context 8192': SNIPPETS,
  'npx node-mlx ls': SNIPPETS,
  'npx node-mlx pull mlx-community/Qwen3-0.6B-4bit': SNIPPETS,
  'npx node-mlx rm mlx-community/Qwen3-0.6B-4bit': SNIPPETS,
  'node-mlx inspect': `${CLI} > prints a model's properties and memory needs`,
  'node-mlx pull': '__test__/hub/processes.spec.ts > pull, ls and rm',
  'cargo fuzz run --sanitizer=none <target>': "scripts/fuzz.mjs > ['fuzz', 'run'",
  'cargo metadata': 'mlx-sys/build.rs > "metadata"',
  'cargo run --release --example chat-templates -- FILE': 'cargo --example chat-templates',
  'cargo test --release --lib registry': "scripts/test.mjs > ['--lib']",
  'cargo test --release --test parity': 'cargo --test parity',
  'NODE_MLX_FIXTURES=DIR cargo test --test parity': 'tools/parity/run.py > NODE_MLX_FIXTURES',
  'target/oracle/bin/python tools/parity/fixtures.py <name>-dense <name>-4bit': `${PYTHON} > tools/parity/fixtures.py makes a fixture`,
  'node scripts/tokenizers.mjs': 'scripts/tokenizers.mjs',
  'target/oracle/bin/python tools/parity/real_tokenizers.py': 'tools/parity/real_tokenizers.py',
  'target/oracle/bin/python tools/parity/tokenizer_goldens.py': 'tools/parity/tokenizer_goldens.py',
  'target/oracle/bin/python tools/parity/fixtures.py NAME': `${PYTHON} > tools/parity/fixtures.py makes a fixture`,
  'target/transformers/bin/python tools/parity/transformers_oracle.py':
    'tools/parity/transformers_oracle.py',
  'python3 tools/parity/venv.py transformers': 'tools/parity/venv.py',
  'python3 tools/parity/mutations.py <name>': 'tools/parity/mutations.py',
  'node tools/demo-model/evaluate.mjs': 'tools/demo-model/evaluate.mjs',
  'python tools/demo-model/evaluate.py': 'tools/demo-model/evaluate.py',
  'python train.py --out build/demo-bf16 --minutes 10': 'tools/demo-model/train.py',
  'python quantize.py build/demo-bf16 ../../models/demo': 'tools/demo-model/quantize.py',
  'python -m corpus.heldout': 'tools/demo-model/corpus/heldout.py',
  'python -m corpus 5 tools': 'tools/demo-model/corpus/__main__.py',
}

/** Commands that run other people's programs, and why no test runs them. */
export const NOT_OURS: Record<string, string> = {
  'cargo install cargo-fuzz': 'installs a program into the home folder of the user',
  'git clone https://github.com/ml-explore/mlx-lm ../mlx-lm': 'needs the network',
  'npm install node-mlx-darwin-arm64-macos26': 'installs on a Mac only',
  'npx node-llama-cpp chat': 'named as what to replace',
}

/** What is run without a row in these tables: by CI itself, and by cargo in every build. */
export const ROOTS: readonly string[] = ['.ci/run', '.github/workflows', 'mlx-sys/build.rs']
