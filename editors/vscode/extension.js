// Starts `logmon-engine lsp` for .rules files and passes on what the editor asks.

const vscode = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

/** @type {LanguageClient | undefined} */
let client;

async function start() {
  const command = vscode.workspace.getConfiguration('logmon').get('engine', 'logmon-engine');
  client = new LanguageClient(
    'logmon',
    'logmon rules',
    { command, args: ['lsp'] },
    {
      documentSelector: [{ scheme: 'file', language: 'logmon-rules' }],
      synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher('**/*.rules') },
    },
  );
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    vscode.window.showErrorMessage(
      `logmon: \`${command} lsp\` cannot be started (${error}). Install logmon-engine, or set "logmon.engine" to its path.`,
    );
  }
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand('logmon.restart', async () => {
      await stop();
      await start();
    }),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (change.affectsConfiguration('logmon.engine')) {
        await stop();
        await start();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
