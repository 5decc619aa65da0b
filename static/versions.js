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

/** Has what is compared, and whose golden images are meant, be chosen with the model above, until they are chosen apart. */
function lead(above, others) {
  let before = above.value;
  above.addEventListener("change", () => {
    for (const choice of others.filter(({ value }) => value === before)) {
      choice.value = above.value;
      choice.dispatchEvent(new Event("change"));
    }
    before = above.value;
  });
}

// The page that makes a model faster has no choice of models.
if (byId("compare-model")) lead(byId("model"), ["compare-model", "golden-model"].map(byId));
