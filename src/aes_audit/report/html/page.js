"use strict";
// The gallery: filters, sorts and shows pairs a page at a time, and one pair at full size.
// Texts come from prompts and names that nobody checked: they are only ever set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  if (!data.items.length) return;
  const PER_PAGE = 48;
  const LABELS = { fail: "does not follow", tie: "tie", success: "follows", missing: "missing picture" };
  const SETS = { pairs: "prompt pairs", edits: "edits" };
  const SIDES = { original: "plain", wide: "asked", source: "source", edited: "edited" };
  const SYMBOLS = { original: "I_o", wide: "I_a", source: "source", edited: "edited" };
  const words = data.items.map((item) => [item.item, item.model, item.original, item.wide, ...item.asked].join("\n").toLowerCase());
  let listed = [];
  let page = 0;
  let focused = 0;
  let viewed = -1;

  function element(tag, text, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    if (text !== undefined && text !== null) made.textContent = text;
    made.append(...children);
    return made;
  }

  const number = (value) => (value === null || value === undefined ? "-" : String(value));

  function option(value, label) {
    return element("option", label, { value });
  }

  // What can be chosen ------------------------------------------------------------------------------------------------

  function prepare() {
    const unique = (values) => [...new Set(values)].sort();
    at("dimension").append(...unique(data.items.flatMap((item) => item.asked)).map((name) => option(name, name)));
    const sets = unique(data.items.map((item) => item.set)).reverse();
    at("set").append(...sets.map((name) => option(name, SETS[name])));
    at("set-label").hidden = sets.length < 2;
    const models = unique(data.items.map((item) => item.model));
    at("model").append(...models.map((name) => option(name, name)));
    at("model-label").hidden = models.length < 2;
    offerOrders();
  }

  function offerOrders() {
    const worst = element("optgroup", undefined, { label: "worst first, by" });
    const apart = element("optgroup", undefined, { label: "where a reward and a judge disagree" });
    data.orders.forEach((order, index) => {
      if (order.set !== at("set").value) return;
      const verdict = order.verdict && order.verdict !== "advisory" ? ` (${order.verdict})` : "";
      (order.kind === "worst" ? worst : apart).append(option(String(index), order.label + verdict));
    });
    at("sort").replaceChildren(...[worst, apart].filter((group) => group.children.length), option("item", "in order of names"));
  }

  function choose() {
    const [sort, outcome, dimension, set, model] = ["sort", "outcome", "dimension", "set", "model"].map((id) => at(id).value);
    const asked = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const score = (index) => (sort === "item" ? null : data.items[index].scores[Number(sort)]);
    listed = data.items.map((_, index) => index).filter((index) => {
      const item = data.items[index];
      return item.set === set && (!outcome || item.outcome === outcome) && (!model || item.model === model)
        && (!dimension || item.asked.includes(dimension)) && asked.every((word) => words[index].includes(word));
    });
    const rank = (index) => (score(index) === null ? -Infinity : score(index));
    listed.sort((a, b) => (rank(b) - rank(a)) || (a - b));
    page = 0;
    focused = 0;
    show();
  }

  // The cards ---------------------------------------------------------------------------------------------------------

  function picture(image, label, file) {
    if (image.missing !== undefined) {
      return element("span", "missing", { className: "missing", role: "img", ariaLabel: `${label} is missing: ${image.missing}` }, element("small", image.missing));
    }
    const shown = element("img", undefined, {
      loading: "lazy", decoding: "async", alt: label, width: image.width, height: image.height, src: image[file],
    });
    if (image.width <= 128) shown.className = "drawn";
    shown.addEventListener("error", () => shown.replaceWith(picture({ missing: "the file is not there" }, label, file)), { once: true });
    return shown;
  }

  function shots(item, file) {
    const frame = element("span", undefined, { className: "shots" });
    for (const shot of item.shots) {
      const two = element("span", undefined, { className: "two" });
      shot.images.forEach((image, side) => {
        const name = SIDES[data.sides[item.set][side]];
        const shown = picture(image, `${name} picture of ${item.item} by ${shot.model}`, file);
        // At full size a picture leads to its file; a card is a button, which can hold no link.
        const whole = file === "file" && image.file
          ? element("a", undefined, { className: "side", href: image.file, target: "_blank", rel: "noopener" }, shown, name)
          : element("span", undefined, { className: "side" }, shown, name);
        two.append(whole);
      });
      frame.append(element("span", undefined, {}, two, element("span", shot.model + (shot === item.shots[0] ? "" : " (base)"), { className: "who" })));
    }
    return frame;
  }

  function badge(item) {
    return element("span", LABELS[item.outcome], { className: `badge is-${item.outcome}` });
  }

  function card(index, place) {
    const item = data.items[index];
    const head = element("span", undefined, { className: "head" }, element("b", item.item));
    if (item.outcome) head.append(badge(item));
    head.append(element("span", `#${page * PER_PAGE + place + 1}`, { className: "value" }));
    const made = element("button", undefined, { type: "button", className: "card", tabIndex: place === focused ? 0 : -1 }, head);
    made.dataset.place = String(place);
    if (data.pictures) made.append(shots(item, "thumb"));
    if (item.wide) {
      made.append(element("span", item.wide, { className: "wide-prompt", dir: "auto" }), element("span", item.original, { className: "plain-prompt", dir: "auto" }));
    }
    if (item.asked.length) made.append(chips(item));
    return element("li", undefined, {}, made);
  }

  function chips(item) {
    return element("span", undefined, { className: "chips" }, ...item.asked.map((name) => element("span", name)));
  }

  const pages = () => Math.max(1, Math.ceil(listed.length / PER_PAGE));

  function show() {
    const first = page * PER_PAGE;
    at("cards").replaceChildren(...listed.slice(first, first + PER_PAGE).map(card));
    const all = data.items.filter((item) => item.set === at("set").value).length;
    at("count").textContent = `${listed.length} of ${all} ${SETS[at("set").value]}`;
    at("where").textContent = `Page ${page + 1} of ${pages()}`;
    at("previous").disabled = page === 0;
    at("next").disabled = page + 1 >= pages();
    at("pages").hidden = pages() === 1;
  }

  function turn(by) {
    page = Math.min(Math.max(page + by, 0), pages() - 1);
    focused = 0;
    show();
    at("gallery").scrollIntoView();
  }

  function columns() {
    return getComputedStyle(at("cards")).gridTemplateColumns.split(" ").length;
  }

  function focus(place) {
    const cards = [...at("cards").querySelectorAll("button")];
    if (!cards.length) return;
    const wanted = Math.min(Math.max(place, 0), cards.length - 1);
    cards[focused]?.setAttribute("tabindex", "-1");
    focused = wanted;
    cards[wanted].tabIndex = 0;
    cards[wanted].focus();
  }

  function move(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() };
    const last = at("cards").children.length - 1;
    if (event.key in steps) focus(focused + steps[event.key]);
    else if (event.key === "Home") focus(0);
    else if (event.key === "End") focus(last);
    else return;
    event.preventDefault();
  }

  // One pair at full size ---------------------------------------------------------------------------------------------

  function row(header, cells, properties) {
    return element("tr", undefined, properties, element("th", header, { scope: "row" }), ...cells.map((cell) => element("td", cell, { className: "num" })));
  }

  function table(caption, headings, rows) {
    const head = element("tr", undefined, {}, ...headings.map((text) => element("th", text, { scope: "col" })));
    return element("table", undefined, {}, element("caption", caption), element("thead", undefined, {}, head), element("tbody", undefined, {}, ...rows));
  }

  function tables(item, shot) {
    const [first, second] = data.sides[item.set].map((side) => SYMBOLS[side]);
    const found = [];
    if (Object.keys(shot.rewards).length) {
      const headings = ["Reward", ...[first, second].flatMap((side) => [`r(${side}, p_o)`, `r(${side}, p_a)`])];
      found.push(table(`Rewards, ${shot.model}`, headings, Object.entries(shot.rewards).map(([name, four]) => row(name, four.map(number)))));
    }
    const dimensions = Object.entries(shot.judged);
    if (dimensions.length) {
      found.push(table(`Dimensions (0 to 2), ${shot.model}`, ["Dimension", first, second], dimensions.map(([name, both]) => row(name, both.map((value) => (value === null ? "-" : value.toFixed(2))), { className: item.asked.includes(name) ? "asked" : "" }))));
    }
    const answers = Object.entries(shot.answers);
    const looked = answers.some(([, said]) => said.original_first !== null || said.wide_first !== null);
    const headings = ["Judge", "Which follows", ...(looked ? ["Plain shown first", "Asked shown first"] : [])];
    if (answers.length) found.push(table(`Preference, ${shot.model}`, headings, answers.map((each) => answer(each, looked))));
    return found;
  }

  function answer([name, said], looked) {
    const value = { 1: "asked", 0: "plain", 0.5: "tie" }[said.value] ?? number(said.value);
    const choice = (found) => ({ 0: "first", 1: "second", "-1": "neither" }[found] ?? "-");
    return row(name, [value, ...(looked ? [choice(said.original_first), choice(said.wide_first)] : [])]);
  }

  function view(index) {
    const item = data.items[index];
    viewed = index;
    at("viewer-title").textContent = `${item.item} by ${item.model}`;
    const prompts = element("dl", undefined, { className: "prompts" });
    if (item.wide) {
      for (const [label, text] of [["Plain, p_o", item.original], ["Asked, p_a", item.wide]]) {
        prompts.append(element("dt", label), element("dd", text, { dir: "auto" }));
      }
    }
    const parts = [prompts];
    if (item.asked.length) parts.push(chips(item));
    if (data.pictures) parts.unshift(shots(item, "file"));
    parts.push(element("div", undefined, { className: "tables" }, ...item.shots.flatMap((shot) => tables(item, shot))));
    at("viewer-body").replaceChildren(...parts);
    const place = listed.indexOf(index);
    at("viewer-previous").disabled = place <= 0;
    at("viewer-next").disabled = place < 0 || place + 1 >= listed.length;
    if (!at("viewer").open) at("viewer").showModal();
    at("viewer").scrollTop = 0;
    at("viewer-title").focus();
  }

  function step(by) {
    const place = listed.indexOf(viewed) + by;
    if (listed.indexOf(viewed) < 0 || place < 0 || place >= listed.length) return;
    view(listed[place]);
    if (Math.floor(place / PER_PAGE) !== page) {
      page = Math.floor(place / PER_PAGE);
      focused = 0;
      show();
    }
  }

  function closed() {
    const place = listed.indexOf(viewed) - page * PER_PAGE;
    if (document.activeElement === document.body || at("cards").contains(document.activeElement)) focus(place);
  }

  prepare();
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("set").addEventListener("change", offerOrders);
  for (const id of ["sort", "outcome", "dimension", "set", "model"]) at(id).addEventListener("change", choose);
  at("words").addEventListener("input", choose);
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  at("cards").addEventListener("keydown", move);
  at("cards").addEventListener("click", (event) => {
    const made = event.target.closest("button");
    if (!made) return;
    focused = Number(made.dataset.place);
    view(listed[page * PER_PAGE + focused]);
  });
  for (const made of document.querySelectorAll("[data-open]")) made.addEventListener("click", () => view(Number(made.dataset.open)));
  at("viewer-close").addEventListener("click", () => at("viewer").close());
  at("viewer-previous").addEventListener("click", () => step(-1));
  at("viewer-next").addEventListener("click", () => step(1));
  at("viewer").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
  });
  at("viewer").addEventListener("close", closed);
  choose();
})();
