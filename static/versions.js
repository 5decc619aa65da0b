// The choices of a version: each offers the versions of the model that is chosen beside it.

import { byId } from "./app.js";

/** Has a choice offer only the versions of the chosen model; what was chosen of another model is given up. */
function follow(choice) {
  const model = byId(choice.dataset.model);
  const [first] = choice.options;
  const groups = [...choice.querySelectorAll("optgroup")];
  const offer = () => {
    const own = groups.find((group) => group.label === model.value);
    choice.replaceChildren(first, ...(own?.children.length ? [...own.children].map((one) => one.cloneNode(true)) : []));
    choice.value = "";
  };
  model.addEventListener("change", offer);
  offer();
}

for (const choice of document.querySelectorAll("select[data-model]")) follow(choice);
