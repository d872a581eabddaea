"use strict";
// The page of one rater: shows page after page, keeps every answer at once, and gives all of them as one CSV file.
// Texts come from prompts that nobody checked: they are only ever set as text, never as markup.
(() => {
  const sheet = JSON.parse(document.getElementById("sheet").textContent);
  const place = `aes-audit ratings ${sheet.sheet} ${sheet.rater}`;
  const at = (id) => document.getElementById(id);
  let answers = {};
  let page = 0;
  let current = 0;
  let kept = true;

  const name = (number, question) => `${number + 1}\n${question}`;
  const asked = sheet.pages.length * sheet.questions.length;
  const given = () => Object.keys(answers).length;

  function warn(text) {
    at("warning").textContent = text;
    at("warning").hidden = false;
  }

  function restore() {
    try {
      const found = JSON.parse(localStorage.getItem(place) || "{}");
      for (let number = 0; number < sheet.pages.length; number += 1) {
        for (const question of sheet.questions) {
          const answer = found[name(number, question.key)];
          if (question.choices.some((choice) => choice.answer === answer)) answers[name(number, question.key)] = answer;
        }
      }
    } catch (error) {
      answers = {};
    }
    const open = sheet.pages.findIndex((_, number) => !complete(number));
    page = open < 0 ? sheet.pages.length - 1 : open;
  }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify(answers));
    } catch (error) {
      kept = false;
      warn("This browser keeps no answers when the page is closed: download them before you leave.");
    }
  }

  const complete = (number) => sheet.questions.every((question) => name(number, question.key) in answers);

  function element(tag, text, properties) {
    const made = Object.assign(document.createElement(tag), properties);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function drawPictures() {
    at("pictures").replaceChildren(...sheet.pages[page].pictures.map((picture) => {
      const figure = element("figure");
      const image = element("img", undefined, { alt: picture.label, src: picture.file, draggable: false });
      image.addEventListener("error", () => {
        warn("A picture cannot be shown. If this folder came as an archive, unpack it first and open index.html there.");
      });
      figure.append(image, element("figcaption", picture.label));
      return figure;
    }));
  }

  function drawQuestions() {
    at("questions").replaceChildren(...sheet.questions.map((question, index) => {
      const group = element("fieldset");
      group.append(element("legend", question.label));
      const choices = element("div", undefined, { className: "choices" });
      for (const choice of question.choices) {
        const input = element("input", undefined, { type: "radio", name: `question-${index}`, value: choice.answer });
        input.checked = answers[name(page, question.key)] === choice.answer;
        input.addEventListener("change", () => answer(index, choice.answer));
        const label = element("label");
        label.append(input, element("kbd", choice.key), ` ${choice.label}`);
        if (choice.more) label.append(element("small", choice.more));
        choices.append(label);
      }
      group.append(choices);
      return group;
    }));
    mark();
  }

  function mark() {
    [...at("questions").children].forEach((group, index) => {
      group.classList.toggle("current", sheet.questions.length > 1 && index === current);
      for (const input of group.querySelectorAll("input")) {
        input.checked = answers[name(page, sheet.questions[index].key)] === input.value;
      }
    });
    const left = asked - given();
    at("where").textContent =
      `${sheet.noun} ${page + 1} of ${sheet.pages.length}. ${given()} of ${asked} answers given` +
      (left ? "." : ": all done, download them and send the file back.");
    at("bar").max = asked;
    at("bar").value = given();
    at("previous").disabled = page === 0;
    at("next").disabled = page === sheet.pages.length - 1;
    at("download").classList.toggle("ready", left === 0);
  }

  function answer(index, value) {
    answers[name(page, sheet.questions[index].key)] = value;
    keep();
    turnTo(Math.min(index + 1, sheet.questions.length - 1));
  }

  function turnTo(index) {
    current = index;
    mark();
    at("questions").children[current].scrollIntoView({ block: "nearest" });
  }

  function show(number) {
    if (number < 0 || number >= sheet.pages.length) return;
    if (number > page) at("help").open = false;
    page = number;
    current = 0;
    const text = sheet.pages[page].text;
    at("text-section").hidden = text === null;
    at("text").textContent = text === null ? "" : text;
    drawPictures();
    drawQuestions();
    window.scrollTo(0, 0);
  }

  function csv() {
    const quoted = (cell) => `"${String(cell).replaceAll('"', '""')}"`;
    const rows = [["sheet", "rater", "page", "question", "answer"]];
    sheet.pages.forEach((_, number) => {
      for (const question of sheet.questions) {
        const value = answers[name(number, question.key)] ?? "";
        rows.push([sheet.sheet, sheet.rater, number + 1, question.key, value]);
      }
    });
    return rows.map((row) => row.map(quoted).join(",") + "\n").join("");
  }

  function download() {
    const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const link = element("a", undefined, { href: address, download: `answers-${sheet.sheet}-${sheet.rater}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: () => show(page - 1), ArrowRight: () => show(page + 1) };
    if (sheet.questions.length > 1) {
      moves.ArrowUp = () => turnTo(Math.max(0, current - 1));
      moves.ArrowDown = () => turnTo(Math.min(sheet.questions.length - 1, current + 1));
    }
    const chosen = sheet.questions[current].choices.find((choice) => choice.key === event.key);
    // Arrows would otherwise change the chosen answer while they turn the page.
    const act = moves[event.key] ?? (chosen && (() => answer(current, chosen.answer)));
    if (!act) return;
    event.preventDefault();
    act();
  });
  window.addEventListener("beforeunload", (event) => {
    if (!kept) event.preventDefault();
  });
  at("previous").addEventListener("click", () => show(page - 1));
  at("next").addEventListener("click", () => show(page + 1));
  at("download").addEventListener("click", download);
  at("questions").addEventListener("submit", (event) => event.preventDefault());
  document.body.classList.toggle("many", sheet.questions.length > 1);
  at("title").textContent = sheet.title;
  at("instructions").append(...sheet.instructions.map((line) => element("p", line)));
  restore();
  if (given()) at("help").open = false;
  show(page);
})();
