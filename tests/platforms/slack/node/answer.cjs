// Slack's SDK for Node on the simulator: answers every mention in its thread and every slash command at once, until
// its standard input ends. Says `ready` when connected, and what it did, one JSON line each.
const { SocketModeClient } = require("@slack/socket-mode");
const { WebClient } = require("@slack/web-api");

const { SLACK_API_URL, SLACK_APP_TOKEN, SLACK_BOT_TOKEN } = process.env;
const options = { slackApiUrl: SLACK_API_URL };
const web = new WebClient(SLACK_BOT_TOKEN, options);
const socket = new SocketModeClient({ appToken: SLACK_APP_TOKEN, clientOptions: options });
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

socket.on("connected", () => say({ ready: true }));
socket.on("app_mention", async ({ ack, event }) => {
  await ack();
  const sent = await web.chat.postMessage({
    channel: event.channel,
    thread_ts: event.thread_ts ?? event.ts,
    text: "Heard by another SDK.",
  });
  const { messages } = await web.conversations.replies({ channel: event.channel, ts: sent.message.thread_ts });
  say({ answered: sent.ts, replies: messages.length });
});
socket.on("message", async ({ ack }) => ack());
socket.on("slash_commands", async ({ ack, body }) => {
  await ack({ text: `Got ${body.text}` });
  say({ command: body.command });
});

process.stdin.resume().on("end", async () => {
  await socket.disconnect();
  process.exit(0);
});
web.auth.test().then(() => socket.start());
