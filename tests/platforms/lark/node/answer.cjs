// Lark's SDK for Node on the simulator: answers every message in its thread and every button press with a toast, until
// its standard input ends. Says `ready` when connected, and what it did, one JSON line each.
const lark = require("@larksuiteoapi/node-sdk");

const { LARK_DOMAIN, LARK_APP_ID, LARK_APP_SECRET } = process.env;
const quiet = { error: (...said) => console.error(...said), warn() {}, info() {}, debug() {}, trace() {} };
const options = { appId: LARK_APP_ID, appSecret: LARK_APP_SECRET, domain: LARK_DOMAIN, logger: quiet };
const client = new lark.Client(options);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const answer = async ({ message }) => {
  const sent = await client.im.message.reply({
    path: { message_id: message.message_id },
    data: { msg_type: "text", content: JSON.stringify({ text: "Heard by another SDK." }), reply_in_thread: true },
  });
  const read = await client.im.message.get({ path: { message_id: sent.data.message_id } });
  say({ answered: sent.data.message_id, thread: sent.data.thread_id, text: read.data.items[0].body.content });
};
const dispatcher = new lark.EventDispatcher({ logger: quiet }).register({
  "im.message.receive_v1": (event) => {
    answer(event).catch((error) => say({ failed: String(error) }));
  },
  "card.action.trigger": async ({ action }) => {
    say({ pressed: action.value });
    return { toast: { type: "success", content: "Heard" } };
  },
});
const ws = new lark.WSClient({ ...options, onReady: () => say({ ready: true }) });

process.stdin.resume().on("end", () => {
  ws.close({ force: true });
  process.exit(0);
});
ws.start({ eventDispatcher: dispatcher });
