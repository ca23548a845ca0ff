/* Has the browser make or use a passkey, and sends what comes of it in the form that
   asks for it. What a passkey is asked stands in the form, made by the server, and so
   do the words for what goes wrong. Without this file the form says that it needs it. */
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const named = (all) => (all || []).map((one) => ({ ...one, id: bytes(one.id) }));

  /* Browsers before 2023 and 2025 read no JSON, and make none. */
  const creation = (o) => PublicKeyCredential.parseCreationOptionsFromJSON ? PublicKeyCredential.parseCreationOptionsFromJSON(o) :
    { ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: named(o.excludeCredentials) };
  const request = (o) => PublicKeyCredential.parseRequestOptionsFromJSON ? PublicKeyCredential.parseRequestOptionsFromJSON(o) :
    { ...o, challenge: bytes(o.challenge), allowCredentials: named(o.allowCredentials) };
  const sent = (made) => {
    const r = made.response, out = { clientDataJSON: text(r.clientDataJSON) };
    if (r.attestationObject) {
      out.attestationObject = text(r.attestationObject);
      out.transports = r.getTransports ? r.getTransports() : [];
    } else {
      out.authenticatorData = text(r.authenticatorData);
      out.signature = text(r.signature);
      if (r.userHandle) out.userHandle = text(r.userHandle);
    }
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response: out });
  };

  const wordOf = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "known", SecurityError: "here", NotSupportedError: "unfit", ConstraintError: "unfit" };

  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    const [button, told, none] = ["act", "told", "none"].map((part) => form.querySelector(`[data-passkey-${part}]`));
    if (!window.PublicKeyCredential || !navigator.credentials) {
      none.textContent = form.dataset.unfit;
      return;
    }
    none.hidden = true;
    button.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      told.hidden = true;
      button.disabled = true;
      try {
        const asked = JSON.parse(form.dataset.options);
        const made = form.dataset.passkey === "create" ?
          await navigator.credentials.create({ publicKey: creation(asked) }) :
          await navigator.credentials.get({ publicKey: request(asked) });
        form.elements.credential.value = sent(made);
        form.submit(); /* which asks no listener again */
      } catch (why) {
        told.textContent = form.dataset[wordOf[why.name] || "failed"];
        told.hidden = false;
        button.disabled = false;
      }
    });
  });
})();
