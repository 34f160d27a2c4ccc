// discord.js on the simulator: answers every mention in a thread of its own and every command and button at once, until
// its standard input ends. Says `ready` when connected, and what it did, one JSON line each.
const { Client, GatewayIntentBits, MessageFlags, Options } = require("discord.js");

const { DISCORD_API_URL, DISCORD_TOKEN } = process.env;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const client = new Client({
  intents: [
    GatewayIntentBits.Guilds,
    GatewayIntentBits.GuildMessages,
    GatewayIntentBits.MessageContent,
    GatewayIntentBits.GuildMessageReactions,
  ],
  allowedMentions: { parse: [] },
  makeCache: Options.cacheWithLimits(Options.DefaultMakeCacheSettings),
  rest: { api: DISCORD_API_URL.replace(/\/v\d+$/, ""), version: "10" },
});

client.once("clientReady", () => say({ ready: true, guilds: client.guilds.cache.size }));
client.on("shardResume", () => say({ resumed: true }));
client.on("messageCreate", async (message) => {
  if (message.author.bot || !message.mentions.has(client.user, { ignoreEveryone: true })) return;
  await message.react("👀");
  const thread = message.channel.isThread() ? message.channel : await message.startThread({ name: "Answer" });
  const answer = await thread.send({ content: "Heard by another SDK.", nonce: "peer-1", enforceNonce: true });
  const history = await thread.messages.fetch({ limit: 10, cache: false });
  say({ answered: answer.id, thread: thread.id, replies: history.filter((one) => !one.system).size });
});
client.on("interactionCreate", async (interaction) => {
  if (interaction.isChatInputCommand()) {
    await interaction.deferReply({ flags: MessageFlags.Ephemeral });
    await interaction.editReply({ content: `Got ${interaction.options.getString("description")}` });
    say({ command: interaction.commandName });
  } else if (interaction.isAutocomplete()) {
    await interaction.respond([{ name: "app", value: "app" }]);
    say({ offered: interaction.options.getFocused() });
  } else if (interaction.isMessageContextMenuCommand()) {
    await interaction.reply({ content: interaction.targetMessage.content, flags: MessageFlags.Ephemeral });
    say({ menu: interaction.targetMessage.id });
  }
});
client.on("error", (error) => say({ error: String(error) }));

process.stdin.resume().on("end", async () => {
  await client.destroy();
  process.exit(0);
});
client.login(DISCORD_TOKEN);
