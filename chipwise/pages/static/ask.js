// Work in the background: begun by the page or before it, shown as it goes on, stopped by its button.
"use strict";
addEventListener("DOMContentLoaded", () => {
  document.querySelector(".ask")?.addEventListener("submit", ({ target }) => {
    // Empty fields say nothing; without them the address is short enough to pass on.
    for (const field of target.elements) if (field.name && !field.value) field.disabled = true;
    target.querySelector("button[type=submit]").disabled = true;
  });
  // A page that the browser kept and shows again is whole again.
  addEventListener("pageshow", () => {
    document.querySelectorAll(".ask :disabled").forEach((field) => { field.disabled = false; });
  });

  const box = document.getElementById("job");
  if (!box) return;
  const bar = document.getElementById("progress");
  const button = document.getElementById("cancel");
  const end = (text) => {
    document.getElementById("state").textContent = text;
    bar.hidden = button.hidden = true;
  };
  const stop = () => fetch(`/jobs/${job}`, { method: "DELETE" });
  let job = box.dataset.job;

  async function look() {
    const at = await (await fetch(`/jobs/${job}`)).json();
    if (at.state === "done") location.reload();
    else if (at.state === "cancelled") end(box.dataset.cancelled);
    else if (at.state === "failed" || at.error) end(at.error || box.dataset.failed);
    else {
      if (at.total) [bar.max, bar.value] = [at.total, at.done];
      setTimeout(look, 150);
    }
  }
  button.addEventListener("click", () => {
    button.disabled = true;
    if (job) stop();
  });
  (async () => {
    if (job) return look();
    const answer = await fetch(`/jobs?${box.dataset.question}`, { method: "POST" });
    const begun = await answer.json();
    if (!answer.ok) return end(begun.error);
    job = begun.id;
    // The button may have been quicker than the answer.
    if (button.disabled) await stop();
    look();
  })().catch(() => end(box.dataset.failed));
});
