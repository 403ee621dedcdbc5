// What the console's scripts may take for granted, for the type check alone; it is not served.

// Every element is one of HTML, events come from elements, and a name of a form is one field.
interface Element {
  readonly dataset: DOMStringMap;
  hidden: boolean;
  title: string;
  value: any;
  checked: any;
  indeterminate: any;
  elements: any;
  form: any;
  blur(): void;
  click(): void;
  focus(options?: FocusOptions): void;
  /** What a script keeps beside an element that it has made. */
  grid: any;
  matrix: any;
  step: any;
  view: any;
}

interface EventTarget {
  readonly dataset: DOMStringMap;
  checked: any;
  form: any;
  blur(): void;
  closest(selectors: string): any;
  matches(selectors: string): boolean;
}

interface Event {
  readonly detail: any;
  readonly ports: any;
  readonly submitter: any;
}

interface RadioNodeList {
  closest(selectors: string): any;
  focus(options?: FocusOptions): void;
}

interface HTMLFormControlsCollection {
  version: any;
}

interface URLSearchParams {
  readonly size: number;
}
