/* What refines the pages of the shell. All of them work without it. */
"use strict";
{
  const all = (selector, act, under = document) => under.querySelectorAll(selector).forEach(act);

  // Times in the reader's own zone, written as the server writes them, with UTC beside.
  const two = (n) => String(n).padStart(2, "0");
  const localTimes = (under) => all("time[datetime]", (time) => {
    const at = new Date(time.dateTime);
    if (time.title || Number.isNaN(at.getTime())) return;
    time.title = `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
    const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
    time.textContent = "day" in time.dataset ? day : `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }, under);
  localTimes(document);

  // Copies the value of a field, or the text of an element.
  all("button[data-copy]", (button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      await navigator.clipboard.writeText(from.value ?? from.textContent);
      button.textContent = button.dataset.done || "✓";
    });
  });

  // Filters what is listed on the page as one types: input[data-filter=ID] and, under
  // that id, elements with data-row. A data-group without any is not shown.
  all("input[data-filter]", (input) => {
    input.hidden = false;
    const list = document.getElementById(input.dataset.filter);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      all("[data-row]", (row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); }, list);
      all("[data-group]", (group) => { group.hidden = !group.querySelector("[data-row]:not([hidden])"); }, list);
    });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  });

  // How hard a password is to guess, by its length and variety: [data-strength=ID] of the
  // field, with the words for each level. The server decides what it takes.
  all("[data-strength]", (told) => {
    const field = document.getElementById(told.dataset.strength);
    const levels = told.dataset.levels.split("|");
    field.addEventListener("input", () => {
      const letters = [...field.value];
      const kinds = [[/[a-z]/, 26], [/[A-Z]/, 26], [/[0-9]/, 10], [/[ -/:-@[-`{-~]/, 33], [/[^\0-~]/, 100]];
      const alphabet = kinds.reduce((sum, [kind, size]) => sum + (kind.test(field.value) ? size : 0), 1);
      const bits = Math.min(letters.length, 2 * new Set(letters).size) * Math.log2(alphabet);
      const level = letters.length < field.minLength ? 0 : bits < 50 ? 1 : bits < 75 ? 2 : 3;
      told.hidden = letters.length === 0;
      told.dataset.level = level;
      told.textContent = levels[level];
    });
  });

  // A choice in a list's filter shows at once.
  all("form[data-at-once]", (form) => form.addEventListener("change", () => form.requestSubmit()));

  // A form with a file tells how far it is, and stays with the file that was chosen:
  // form[data-upload=ID] has in the element of that id what its answer tells.
  const fill = (form, page) => {
    const [told, fresh] = [document, page].map((one) => one.getElementById(form.dataset.upload));
    const [proof, asked] = [document, page].map((one) => one.getElementById("proof"));
    if (!fresh || !proof !== !asked) {
      document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
      all("form[data-upload]", upload);
      return;
    }
    told.replaceChildren(...fresh.childNodes);
    all("form[data-upload] .field", (answered) => {
      const theirs = answered.querySelector("[name]"), own = form.querySelector(`[name="${theirs.name}"]`), field = own?.closest(".field");
      if (!field) return;
      field.className = answered.className;
      all(".problem", (problem) => problem.remove(), field);
      field.append(...answered.querySelectorAll(".problem"));
      for (const name of ["aria-describedby", "aria-invalid"]) {
        if (theirs.hasAttribute(name)) own.setAttribute(name, theirs.getAttribute(name));
        else own.removeAttribute(name);
      }
    }, page);
    if (proof) proof.value = "";
  };
  const upload = (form) => form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("[data-progress]"), file = form.querySelector("input[type=file]");
    if (!bar.hidden) return;
    if (file.files[0] && file.files[0].size > Number(file.dataset.max)) {
      file.setCustomValidity(file.dataset.tooLarge);
      file.reportValidity();
      file.addEventListener("change", () => file.setCustomValidity(""), { once: true });
      return;
    }
    const call = new XMLHttpRequest();
    const end = () => { bar.hidden = true; form.removeAttribute("aria-busy"); };
    call.open("POST", event.submitter?.getAttribute("formaction") || form.action);
    call.setRequestHeader("Accept", "text/html");
    call.responseType = "document";
    call.upload.onprogress = (sent) => { bar.querySelector("progress").value = 100 * sent.loaded / sent.total; };
    call.onload = () => {
      end();
      if (new URL(call.responseURL).pathname === "/login") location.href = call.responseURL;
      else if (call.response) {
        fill(form, call.response);
        // A wait that comes with the answer counts down, too.
        const counts = call.response.querySelector("script[src*=countdown]");
        if (counts) document.head.append(Object.assign(document.createElement("script"), { src: counts.getAttribute("src") }));
      }
    };
    call.onerror = () => {
      end();
      const problem = Object.assign(document.createElement("p"), { className: "problem", textContent: form.dataset.failed });
      problem.setAttribute("role", "alert");
      document.getElementById(form.dataset.upload).replaceChildren(problem);
    };
    bar.hidden = false;
    form.setAttribute("aria-busy", "true");
    call.send(new FormData(form));
  });
  all("form[data-upload]", upload);

  // A second click is not sent. Of what lasts, words tell that it goes on: [data-busy].
  // What is answered with a file leaves the page as it is.
  all("form[method=post]:not([data-download], [data-upload])", (form) => form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    form.setAttribute("aria-busy", "true");
    all("[data-busy]", (words) => { words.hidden = false; }, form);
  }));

  // A secret that is shown once is not left by accident: [data-unsaved] holds a
  // check box, and what leads on, which waits for it.
  all("[data-unsaved]", (part) => {
    const box = part.querySelector("input[type=checkbox]");
    // Its own links lead on, too.
    let leaves = false;
    part.addEventListener("click", (event) => { leaves = leaves || Boolean(event.target.closest("a")); });
    window.addEventListener("beforeunload", (event) => { if (!box.checked && !leaves) event.preventDefault(); });
  });

  // A page that is looked at for long: [data-live=SECONDS] with an id is asked for
  // again, while somebody looks. Who has moved nothing for five minutes may have left: a
  // browser that nobody uses is not to keep its session from ending.
  let moved = Date.now();
  ["pointermove", "pointerdown", "keydown", "wheel"].forEach((kind) => window.addEventListener(kind, () => { moved = Date.now(); }, { passive: true }));
  all("[data-live]", (part) => setInterval(async () => {
    if (document.hidden || Date.now() - moved > 300000 || part.contains(document.activeElement)) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (!fresh) return;
    part.replaceChildren(...fresh.childNodes);
    localTimes(part);
  }, 1000 * Number(part.dataset.live)));

  // A page that the browser kept from before is asked for again: who looks may have
  // signed out since.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
    all("form[data-sent]", (form) => { delete form.dataset.sent; form.removeAttribute("aria-busy"); });
    all("[data-busy]", (words) => { words.hidden = true; });
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const search = document.querySelector("main input[type=search]");
      if (search) search.focus();
      else location.href = "/console/manual";
    } else if (event.key === "?") {
      document.getElementById("help").showModal();
    } else {
      return;
    }
    event.preventDefault();
  });
}
