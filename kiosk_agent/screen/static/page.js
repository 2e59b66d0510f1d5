// Draws what the agent says, and says what was pressed. It knows no flow: each event is one whole picture.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const LOST_AFTER_MS = 2500;
const ACTIONS = ["mode", "backspace", "clear", "more", "cancel", "enter"];
const SIGNS = { mode: "Aa", backspace: "\u232b", clear: "\u2327", more: "+\u231a", cancel: "\u2715", enter: "\u21b5" };
const at = (id) => document.getElementById(id);
let total = 0;
let shown = {};
let heardAt = performance.now();

function put(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
  if (element.hasAttribute("hidden") || id === "contact" || id === "secret" || id === "mode" || id === "aside") element.hidden = !text;
}

function fill(id, items, make) {
  const element = at(id);
  const key = JSON.stringify(items);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...items.map(make));
}

function node(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function withKey(label, text) {
  const item = node("li");
  item.append(node("kbd", label), node("span", text));
  return item;
}

function drawEntry(view) {
  at("typing").hidden = view.entry === null;
  if (view.entry === null) return;
  const places = view.step === "code" || view.step === "qr" ? 6 : 0;
  document.body.toggleAttribute("data-digits", places > 0);
  if (!places) {
    delete at("entry").dataset.key;
    put("entry", view.entry);
    at("entry").scrollLeft = at("entry").scrollWidth;
  } else {
    const letters = Array.from({ length: places }, (_, place) => [view.entry[place] || "", place === view.entry.length]);
    fill("entry", letters, ([letter, isNext]) => node("span", letter, isNext ? "next" : ""));
  }
}

function drawTime(view) {
  const left = view.seconds_left;
  at("left").hidden = left === null;
  const isNew = view.step !== shown.step || view.movement !== shown.movement || left > (shown.seconds_left ?? 0);
  if (left === null) return;
  if (isNew) total = left;
  put("seconds", view.words.seconds.replace("{count}", left));
  at("left").style.setProperty("--rest", (100 * left) / Math.max(total, 1));
}

function drawCamera(view) {
  const isOn = view.oval !== "";
  at("camera").hidden = !isOn;
  const preview = at("preview");
  if (isOn && !preview.hasAttribute("src")) preview.src = `/preview?${Date.now()}`;
  if (!isOn) preview.removeAttribute("src");
  preview.alt = isOn ? view.words.preview : "";
  at("sight").hidden = view.oval !== "good";
  document.body.dataset.oval = view.oval;
}

function drawFigure(view) {
  at("figure").hidden = !view.icon;
  if (view.icon) {
    const source = `/static/${view.icon}.svg`;
    if (at("icon").getAttribute("src") !== source) at("icon").src = source;
  }
  document.body.dataset.movement = view.movement;
}

function drawCode(view) {
  const box = at("code");
  box.hidden = !view.qr;
  box.setAttribute("aria-label", view.qr ? view.title : "");
  const key = view.qr ? view.qr.path : "";
  if (box.dataset.length === String(key.length) && box.firstChild && box.firstChild.firstChild.getAttribute("d") === key) return;
  box.dataset.length = key.length;
  if (!view.qr) return box.replaceChildren();
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${view.qr.side} ${view.qr.side}`);
  drawing.setAttribute("shape-rendering", "crispEdges");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", view.qr.path);
  drawing.append(path);
  box.replaceChildren(drawing);
}

// On a touch screen a menu is touched line by line, an entry by its keys, and a result by Enter alone.
function drawPad(view) {
  const isOn = Boolean(view.pad) && view.keys.length > 0;
  document.body.toggleAttribute("data-touch", isOn);
  at("pad").hidden = !isOn;
  if (!isOn) return fill("pad", [], node);
  const isTyping = view.entry !== null || view.step === "attract";
  const digits = isTyping ? view.pad.digits.map((digit, place) => [digit, String(place), "", view.pad.round]) : [];
  const useful = isTyping ? ACTIONS : view.options.length ? ["more", "cancel"] : ["cancel", "enter"];
  const actions = useful.map((name) => [isTyping ? SIGNS[name] : view.words[name], name, "action", view.pad.round]);
  at("pad").classList.toggle("row", !isTyping);
  fill("pad", [...digits, ...actions], ([text, place, look, round]) => {
    const button = toTouch(node("button", text, look), place, round);
    if (look) button.setAttribute("aria-label", view.words[place]);
    return button;
  });
}

function toTouch(button, place, round) {
  button.type = "button";
  button.addEventListener("pointerdown", () => send("/press", { place, round }));
  return button;
}

function drawOptions(view) {
  at("options").hidden = view.options.length === 0;
  const round = view.pad ? view.pad.round : null;
  fill("options", view.options.map((option) => [option, round]), ([option], number) => {
    const item = withKey(String(number + 1), option);
    if (round === null) return item;
    const place = view.pad.digits.indexOf(String(number + 1));
    const button = toTouch(node("button"), String(place), round);
    button.append(...item.childNodes);
    item.replaceChildren(button);
    return item;
  });
}

function draw(view) {
  const root = document.documentElement;
  root.lang = view.lang;
  root.dir = view.dir;
  document.body.dataset.tone = view.tone;
  drawTime(view);
  put("subject", view.subject);
  put("title", view.title);
  fill("lines", view.lines, (line) => node("p", line));
  drawOptions(view);
  drawEntry(view);
  put("mode", view.mode);
  put("aside", view.aside);
  at("held").hidden = view.code_left_s === null;
  if (view.code_left_s !== null) put("held", view.words.code_left.replace("{count}", view.code_left_s));
  put("problem", view.problem);
  put("secret", view.secret);
  put("contact", view.contact && `${view.words.ask} ${view.contact}`);
  at("progress").hidden = !view.progress;
  if (view.progress) fill("progress", Array.from({ length: view.progress[1] }, (_, n) => n < view.progress[0]), (isDone) => node("i", "", isDone ? "done" : ""));
  drawCamera(view);
  drawFigure(view);
  drawCode(view);
  drawPad(view);
  fill("keys", view.keys, ([label, what]) => withKey(label, what));
  put("notice", view.notice);
  document.body.dataset.step = view.step;
  shown = view;
}

function send(path, body) {
  fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).catch(() => {});
}

// Where the agent is gone, the page says so by itself, in the words that it heard last, and nothing of a session stays.
function lose() {
  if (document.body.dataset.step === "lost" || performance.now() - heardAt < LOST_AFTER_MS) return;
  const words = shown.words || { lost: "Out of service", lost_line: "This kiosk comes back by itself." };
  draw({
    ...{ step: "lost", tone: "bad", lang: shown.lang || "en", dir: shown.dir || "ltr", title: words.lost, lines: [words.lost_line], words },
    ...{ subject: "", entry: null, problem: "", seconds_left: null, keys: [], notice: "", aside: "", options: [], movement: "" },
    ...{ icon: "out_of_service", oval: "", progress: null, mode: "", contact: "", code_left_s: null, secret: "", qr: null },
  });
}

function listen() {
  const events = new EventSource("/events");
  events.onmessage = (event) => {
    heardAt = performance.now();
    draw(JSON.parse(event.data));
  };
  events.onopen = () => { heardAt = performance.now(); };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
    setTimeout(lose, LOST_AFTER_MS + 50);
  };
}

document.addEventListener("keydown", (event) => {
  if (!shown.keyboard || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  send("/key", { key: event.key });
});
listen();
