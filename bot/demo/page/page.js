// The demo page: draws what the event stream tells, message by message, and sends what the visitor does.
// Every text becomes a text node or an attribute value; nothing is ever parsed as HTML.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const known = new Map(); // "channel/id" -> the message as told
const columns = new Map(all(".column").map((column) => [column.dataset.channel, column]));
const EMOJI = one("main").dataset.emoji.split(" ");
const MARKS = { done: "✓", active: "●", pending: "○", failed: "✗" };
const MARK_WORDS = { done: "done", active: "now", pending: "to come", failed: "failed" };
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
let person = "ana";
let language = "en";
let stream = null;
let forms = []; // those that are open, whoever they are open for
let opener = ""; // what opened the form, as a selector: the focus goes back there

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== "" && value !== false && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== ""));
  return node;
}

// --- Drawing a message ----------------------------------------------------------------------------------------------

function word(told) {
  if (told.style === "plain") return document.createTextNode(told.text);
  if (told.style === "link" && /^https?:\/\//i.test(told.href)) {
    return make("a", { href: told.href, target: "_blank", rel: "noopener" }, told.text);
  }
  if (told.style === "time") return make("time", { datetime: told.at, title: told.text }, moment(told));
  const tag = { bold: "strong", italic: "em", strike: "s", code: "code" }[told.style];
  return tag ? make(tag, {}, told.text) : make("span", { class: told.style }, told.text);
}

function moment(told) {
  const at = new Date(told.at);
  return Number.isNaN(at.getTime()) ? told.text : clock.format(at);
}

function button(told, message) {
  const look = `button ${told.look}`;
  if (told.href) return make("a", { class: look, href: told.href, target: "_blank", rel: "noopener", "aria-label": told.name }, told.label);
  return make("button", {
    type: "button", class: look, "aria-label": told.name, "data-press": told.press, "data-confirm": told.confirm,
    "data-message": message.id,
  }, told.label);
}

function step(told) {
  return make("li", { class: `step ${told.mark}` },
    make("span", { class: "mark", "aria-hidden": "true" }, told.sign || MARKS[told.mark]),
    make("span", { class: "label" }, told.label, make("span", { class: "unseen" }, ` (${MARK_WORDS[told.mark]})`)),
    told.detail ? make("span", { class: "detail" }, told.detail) : null);
}

function part(told, message) {
  switch (told.kind) {
    case "line": return make(told.role === "quote" ? "blockquote" : "p", { class: told.role }, told.words.map(word));
    case "code": return make("pre", {}, told.text);
    case "rule": return make("hr");
    case "plan": return make("div", { class: "plan" }, told.title ? make("p", { class: "now" }, told.title) : null, make("ul", {}, told.steps.map(step)));
    case "buttons": return make("div", { class: "buttons" }, told.buttons.map((shown) => button(shown, message)));
    case "frame": return make("div", { class: `frame ${told.colour}`, "data-accent": told.accent },
      told.title.length ? make("p", { class: "frame-title" }, told.title.map(word)) : null,
      make("div", { class: "frame-body" }, told.parts.map((inner) => part(inner, message))));
    default: return make("p", {}, "");
  }
}

function reactions(message) {
  if (!message.reactions.length) return null;
  return make("div", { class: "reactions" }, message.reactions.map((shown) => {
    const mine = shown.by.includes(person);
    const label = `${shown.name}, ${shown.by.length}: ${shown.by.join(", ")}`;
    if (!EMOJI.includes(shown.emoji)) return make("span", { class: "reaction", role: "img", "aria-label": label }, `${shown.emoji} ${shown.by.length}`);
    return make("button", {
      type: "button", class: "reaction", "data-emoji": shown.emoji, "data-message": message.id,
      "aria-pressed": String(mine), "aria-label": label,
    }, `${shown.emoji} ${shown.by.length}`);
  }));
}

function tools(message) {
  if (message.to || message.kind === "note") return null;
  const menu = message.key === "codetask" ? null : one(".menu", columns.get(message.channel));
  return make("div", { class: "tools" },
    EMOJI.map((emoji) => make("button", { type: "button", "data-emoji": emoji, "data-message": message.id, "aria-label": `React with ${emoji}` }, emoji)),
    make("button", { type: "button", class: "answer", "data-thread": message.thread || message.id }, "Reply in thread"),
    menu && make("button", { type: "button", class: "more", popovertarget: menu.id, "data-more": message.id, "aria-haspopup": "menu", "aria-label": "More to do with this message" }, "⋯"));
}

function body(message) {
  if (message.kind === "note") return [make("p", { class: "note-text" }, make("b", {}, message.who), " ", message.parts[0].words.map(word))];
  const at = new Date(message.at);
  return [
    make("span", { class: `face ${message.key}`, "aria-hidden": "true" }, message.key === "codetask" ? "C" : message.who.slice(0, 1).toUpperCase()),
    make("div", { class: "content" },
      message.to ? make("p", { class: "private" }, message.label || "Only visible to you") : null,
      make("p", { class: "head" }, make("b", { class: "who" }, message.who),
        message.key === "codetask" ? make("span", { class: "app" }, "APP") : null,
        make("time", { datetime: message.at, title: at.toLocaleString() }, clock.format(at))),
      make("div", { class: "said" }, message.parts.map((shown) => part(shown, message)),
        message.edited ? make("span", { class: "edited" }, "(edited)") : null),
      reactions(message), tools(message)),
  ];
}

// --- Keeping the page equal to what was told, changing only what differs --------------------------------------------

function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "style") old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  return morphChildren(old, [...fresh.childNodes]);
}

function morphChildren(parent, fresh) {
  const old = [...parent.childNodes];
  fresh.forEach((child, at) => (at < old.length ? morph(old[at], child) : parent.append(child)));
  old.slice(fresh.length).forEach((child) => child.remove());
}

function listFor(message) {
  const column = columns.get(message.channel);
  const root = message.thread ? item(message.channel, message.thread) : null;
  if (!root) return one(".messages", column);
  const thread = one(":scope > .thread", root) || root.appendChild(make("div", { class: "thread" },
    make("p", { class: "topic", "aria-hidden": "true" }), make("ol", { class: "replies" })));
  return one(".replies", thread);
}

function item(channel, id) {
  return document.getElementById(`${channel}/${id}`);
}

function draw(message) {
  known.set(`${message.channel}/${message.id}`, message);
  let node = item(message.channel, message.id);
  if (!node) {
    const list = listFor(message);
    node = make("li", { id: `${message.channel}/${message.id}` }, make("article", { tabindex: "-1" }));
    const later = [...list.children].reverse().find((other) => Number(other.dataset.order) <= message.order);
    if (later) later.after(node); else list.prepend(node);
    node.dataset.order = message.order;
    topic(node.closest(".thread"));
  }
  node.className = `message kind-${message.kind}${message.to ? " whisper" : ""}${message.key === person ? " mine" : ""}${message.key === "codetask" ? " bot" : ""}`;
  node.hidden = Boolean(message.to) && message.to !== person;
  const article = one("article", node);
  const focused = article.contains(document.activeElement);
  morphChildren(article, body(message));
  if (focused && document.activeElement === document.body) article.focus({ preventScroll: true });
  for (const framed of all("[data-accent]", article)) framed.style.setProperty("--accent", framed.dataset.accent);
}

function topic(thread) {
  if (!thread) return;
  const count = all(":scope > .replies > li:not([hidden])", thread).length;
  const root = known.get(thread.parentElement.id);
  one(".topic", thread).textContent = `${root && root.topic ? `${root.topic} · ` : ""}${count} ${count === 1 ? "reply" : "replies"}`;
}

function remove({ channel, id }) {
  known.delete(`${channel}/${id}`);
  const node = item(channel, id);
  if (!node) return;
  for (const reply of all(".replies > li", node)) one(".messages", columns.get(channel)).append(reply);
  node.remove();
}

function update(told, whole) {
  const places = new Map([...columns].map(([name, column]) => [name, place(column)]));
  if (whole) {
    const keep = new Set(told.messages.map((message) => `${message.channel}/${message.id}`));
    for (const [key, message] of known) if (!keep.has(key)) remove(message);
  }
  (told.gone || []).forEach(remove);
  for (const message of told.messages || []) draw(message);
  if (told.forms) forms = told.forms;
  showForms();
  for (const [name, column] of columns) settle(column, places.get(name), (told.messages || []).some((m) => m.channel === name && (!m.to || m.to === person)));
}

function place(column) {
  const feed = one(".feed", column);
  return feed.scrollHeight - feed.scrollTop - feed.clientHeight < 60;
}

function settle(column, atEnd, changed) {
  const feed = one(".feed", column);
  if (atEnd) feed.scrollTop = feed.scrollHeight;
  one(".down", column).hidden = atEnd || !changed && one(".down", column).hidden;
  const tab = one(`[data-switch="${column.dataset.channel}"] .unread`);
  if (tab && changed && !column.classList.contains("current")) tab.hidden = false;
}

function redraw() {
  const places = new Map([...columns].map(([name, column]) => [name, place(column)]));
  for (const message of known.values()) draw(message);
  all(".thread").forEach(topic);
  for (const [name, column] of columns) settle(column, places.get(name), false);
}

// --- The stream -----------------------------------------------------------------------------------------------------

function follow() {
  if (stream) stream.close();
  stream = new EventSource(`/events?language=${language}`);
  stream.addEventListener("all", (event) => { say(""); update(JSON.parse(event.data), true); });
  stream.addEventListener("some", (event) => update(JSON.parse(event.data), false));
  stream.onerror = () => say(stream.readyState === EventSource.CLOSED
    ? "The demo has ended. Start it again in the terminal." : "The demo does not answer. Trying again…");
}

function say(text) {
  const notice = one(".notice");
  notice.textContent = text;
  notice.hidden = !text;
}

// --- What the visitor does ------------------------------------------------------------------------------------------

// "" when it was done, else why it was not.
async function tell(column, told) {
  try {
    const answer = await fetch("/do", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ channel: column.dataset.channel, person, ...told }),
    });
    return answer.ok ? "" : (await answer.text()) || "That did not work.";
  } catch {
    return "The demo does not answer. Is it still running in the terminal?";
  }
}

async function act(column, told) {
  const problem = await tell(column, told);
  say(problem);
  return !problem;
}

function ask(text, yes) {
  const dialog = one(".confirm");
  one("p", dialog).textContent = text;
  one(".yes", dialog).textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

function enter(column, thread) {
  const root = thread && known.get(`${column.dataset.channel}/${thread}`);
  column.dataset.thread = root ? thread : "";
  one(".aside", column).hidden = !root;
  if (root) one(".aside-text", column).textContent = `In the thread of ${root.who}, ${clock.format(new Date(root.at))}`;
  one("textarea", column).focus();
}

function grow(area) {
  area.rows = Math.min(6, area.value.split("\n").length);
}

async function send(column) {
  const area = one("textarea", column);
  const text = area.value;
  if (!text.trim()) return;
  const feed = one(".feed", column);
  feed.scrollTop = column.dataset.thread ? feed.scrollTop : feed.scrollHeight;
  if (await act(column, { do: "say", text, thread: column.dataset.thread || "" })) {
    if (area.value === text) area.value = "";
    grow(area);
  }
}

async function press(column, target) {
  if (target.dataset.confirm && !(await ask(target.dataset.confirm, target.getAttribute("aria-label")))) return;
  opener = `[data-message="${CSS.escape(target.dataset.message)}"][data-press="${CSS.escape(target.dataset.press)}"]`;
  target.disabled = true;
  await act(column, { do: "press", message: target.dataset.message, press: target.dataset.press });
  target.disabled = false;
  if (document.activeElement === document.body) target.focus({ preventScroll: true });
}

// --- Forms and menus ------------------------------------------------------------------------------------------------

function keyOf(form) {
  return form ? `${form.channel}/${form.id}` : "";
}

// Shows the oldest form that is open for this person, and closes the dialog when there is none.
function showForms() {
  const dialog = one(".form");
  const mine = forms.filter((form) => form.to === person);
  const form = mine.find((other) => keyOf(other) === dialog.dataset.form) || mine[0];
  if (!form) {
    if (!dialog.open) return;
    dialog.close();
    one(opener || "body", columns.get(dialog.dataset.channel))?.focus({ preventScroll: true });
    return;
  }
  if (keyOf(form) !== dialog.dataset.form) fill(dialog, form);
  one(".yes", dialog).disabled = form.busy;
  if (!dialog.open || form.problem) one(".form-problem", dialog).textContent = form.problem;
  if (!dialog.open) dialog.showModal();
}

function fill(dialog, form) {
  const box = columns.get(form.channel).getBoundingClientRect();
  dialog.className = `form ${form.channel}`;
  dialog.dataset.form = keyOf(form);
  dialog.dataset.channel = form.channel;
  dialog.style.setProperty("--middle", box.width ? `${box.left + box.width / 2}px` : "50%");
  one("h2", dialog).textContent = form.title;
  one(".no", dialog).textContent = form.cancel;
  one(".yes", dialog).textContent = form.submit;
  one(".fields", dialog).replaceChildren(...form.fields.map(field));
}

function field(told, at) {
  const attributes = {
    id: `field-${at}`, name: told.name, required: told.required, maxlength: told.max_length, autofocus: at === 0,
    "aria-describedby": told.hint ? `hint-${at}` : "",
  };
  const input = told.multiline ? make("textarea", { ...attributes, rows: 4 }) : make("input", { ...attributes, type: "text" });
  input.value = told.value;
  return make("div", { class: "field" },
    make("label", { for: `field-${at}` }, told.label, told.required ? null : make("span", { class: "optional" }, " (optional)")),
    input, told.hint ? make("p", { class: "hint", id: `hint-${at}` }, told.hint) : null);
}

async function answer(what) {
  const dialog = one(".form");
  const form = forms.find((other) => keyOf(other) === dialog.dataset.form);
  if (!form) return;
  const values = Object.fromEntries(all("[name]", dialog).map((input) => [input.name, input.value]));
  const told = what === "submit" ? { do: "submit", form: form.id, values } : { do: "close", form: form.id };
  one(".yes", dialog).disabled = true;
  const problem = await tell(columns.get(form.channel), told);
  one(".form-problem", dialog).textContent = problem;
  if (problem) one(".yes", dialog).disabled = false;
}

// The browser itself opens and closes the menu (`popovertarget`); here it learns its message and its place.
function placeMenu(column, target) {
  const menu = one(".menu", column);
  const box = target.getBoundingClientRect();
  const low = box.bottom > innerHeight - 140;
  menu.dataset.message = target.dataset.more;
  menu.style.setProperty("right", `${Math.max(8, innerWidth - box.right)}px`);
  menu.style.setProperty("top", low ? "auto" : `${box.bottom + 4}px`);
  menu.style.setProperty("bottom", low ? `${innerHeight - box.top + 4}px` : "auto");
}

function pick(column, target) {
  const menu = target.closest(".menu");
  menu.hidePopover();
  act(column, { do: "pick", message: menu.dataset.message, name: target.dataset.pick });
}

function react(column, target) {
  const message = known.get(`${column.dataset.channel}/${target.dataset.message}`);
  const there = message && message.reactions.find((shown) => shown.emoji === target.dataset.emoji);
  act(column, { do: "react", message: target.dataset.message, emoji: target.dataset.emoji, on: !(there && there.by.includes(person)) });
}

function show(name) {
  for (const [other, column] of columns) column.classList.toggle("current", other === name);
  for (const tab of all("[data-switch]")) tab.setAttribute("aria-pressed", String(tab.dataset.switch === name));
  one(`[data-switch="${name}"] .unread`).hidden = true;
  const feed = one(".feed", columns.get(name));
  feed.scrollTop = feed.scrollHeight;
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("button");
  if (!target) return;
  const column = target.closest(".column");
  if (target.dataset.switch) show(target.dataset.switch);
  else if (target.dataset.language) {
    language = target.dataset.language;
    for (const other of all("[data-language]")) other.setAttribute("aria-pressed", String(other === target));
    follow();
  } else if (target.dataset.press) press(column, target);
  else if (target.dataset.more) placeMenu(column, target);
  else if (target.dataset.pick) pick(column, target);
  else if (target.dataset.emoji) react(column, target);
  else if (target.dataset.thread) enter(column, target.dataset.thread);
  else if (target.classList.contains("leave")) enter(column, "");
  else if (target.classList.contains("down")) {
    const feed = one(".feed", column);
    feed.scrollTop = feed.scrollHeight;
    target.hidden = true;
  } else if (target.dataset.try) {
    const area = one("textarea", column);
    area.value = target.dataset.try;
    area.focus();
  }
});
document.addEventListener("change", (event) => {
  if (event.target.name !== "person") return;
  person = event.target.value;
  redraw();
});
document.addEventListener("input", (event) => event.target.matches(".entry textarea") && grow(event.target));
document.addEventListener("keydown", (event) => {
  if (event.target.matches(".form textarea") && event.key === "Enter" && (event.ctrlKey || event.metaKey)) one(".form form").requestSubmit();
  if (event.target.matches(".menu button") && /^Arrow(Up|Down)$/.test(event.key)) {
    const entries = all("button", event.target.closest(".menu"));
    const next = entries.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
    entries.at(next % entries.length).focus();
    event.preventDefault();
  }
  if (!event.target.matches(".entry textarea")) return;
  const column = event.target.closest(".column");
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send(column);
  } else if (event.key === "Escape" && column.dataset.thread) enter(column, "");
});
for (const [, column] of columns) {
  one(".composer", column).addEventListener("submit", (event) => { event.preventDefault(); send(column); });
  one(".feed", column).addEventListener("scroll", () => { if (place(column)) one(".down", column).hidden = true; }, { passive: true });
}
one(".form").addEventListener("cancel", (event) => { event.preventDefault(); answer("close"); });
one(".form form").addEventListener("submit", (event) => { event.preventDefault(); answer("submit"); });
one(".form .no").addEventListener("click", () => answer("close"));
person = one("input[name=person]:checked").value;
follow();
