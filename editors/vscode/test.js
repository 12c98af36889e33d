// What package.json names is there, JSON is JSON, every pattern of the grammar is a regex, and the extension loads and
// starts the engine with the arguments that the engine knows.

const assert = require('node:assert');
const fs = require('node:fs');
const Module = require('node:module');

const read = (name) => JSON.parse(fs.readFileSync(`${__dirname}/${name}`, 'utf8'));
const contributes = read('package.json').contributes;
for (const language of contributes.languages) read(language.configuration);
for (const { path } of contributes.grammars) {
  const patterns = (node) => {
    if (Array.isArray(node)) return node.flatMap(patterns);
    if (node === null || typeof node !== 'object') return [];
    const own = ['match', 'begin', 'end'].map((key) => node[key]).filter((text) => typeof text === 'string');
    return own.concat(Object.values(node).flatMap(patterns));
  };
  const all = patterns(read(path));
  assert(all.length > 10);
  for (const text of all) new RegExp(text);
}

// A stand-in for the editor, which exists only inside it.
const started = [];
class LanguageClient {
  constructor(id, name, server, client) {
    started.push({ server, client });
  }
  async start() {}
  async stop() {}
}
const vscode = {
  workspace: {
    getConfiguration: () => ({ get: (_key, otherwise) => otherwise }),
    createFileSystemWatcher: (glob) => glob,
    onDidChangeConfiguration: () => ({}),
  },
  commands: { registerCommand: () => ({}) },
  window: { showErrorMessage: (text) => assert.fail(text) },
};
const load = Module._load;
Module._load = (request, ...rest) => {
  if (request === 'vscode') return vscode;
  if (request === 'vscode-languageclient/node') return { LanguageClient };
  return load(request, ...rest);
};
const extension = require('./extension.js');
extension.activate({ subscriptions: [] }).then(async () => {
  assert.deepStrictEqual(started[0].server, { command: 'logmon-engine', args: ['lsp'] });
  await extension.deactivate();
  console.log('ok');
});
