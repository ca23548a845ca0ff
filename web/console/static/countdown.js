/* Counts down how long a page says there is to wait. Without it the page stands
   as it was made, and is right as far as it goes. A timer is not announced as it
   runs; its end is, by the status beside it. */
"use strict";
document.querySelectorAll("[data-over]").forEach((told) => {
  const [timer, status] = [told.querySelector("[role=timer]"), told.querySelector("[role=status]")];
  const seconds = timer.querySelector("span");
  const ends = Date.now() + 1000 * Number(seconds.textContent);
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    if (left > 0) {
      seconds.textContent = String(left);
      setTimeout(tick, 250);
    } else {
      timer.remove();
      status.textContent = told.dataset.over;
    }
  };
  tick();
});
