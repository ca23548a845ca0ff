/* Counts down how long a page says there is to wait. Without it the page stands
   as it was made, and is right as far as it goes. */
"use strict";
{
  const seconds = document.getElementById("seconds");
  const ends = Date.now() + 1000 * Number(seconds.textContent);
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    if (left > 0) {
      seconds.textContent = String(left);
      setTimeout(tick, 250);
    } else {
      seconds.parentElement.textContent = seconds.parentElement.dataset.over;
    }
  };
  tick();
}
