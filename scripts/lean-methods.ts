/** Leaves methods that a program does not call out of its bundle, and with them what only they need. */
import { type ESTree, minifySync, type Plugin, parseSync, Visitor } from "vite";

/** Something with a name that may be left out. */
interface Method {
  readonly name: string;
  /** The class that alone has it as `this`. */
  readonly owner: string | undefined;
  readonly start: number;
  readonly end: number;
}

/** Methods that the language calls without naming them. */
const UNNAMED = ["constructor", "toString", "toJSON", "valueOf", "then", "next", "return", "throw"];
/** What methods are called of that are not the engine's. */
const FOREIGN = ["Math", "console", "Object", "Array", "TextEncoder", "TextDecoder"];

/** Methods of tensors that texts have, too: what is called with a text or a pattern is not the tensor's. */
const OF_TEXTS = ["split"];

/** The names that a pattern binds. */
function boundBy(pattern: ESTree.Node | null): string[] {
  if (pattern?.type === "Identifier") return [pattern.name];
  if (pattern?.type === "ArrayPattern") return pattern.elements.flatMap(boundBy);
  if (pattern?.type === "ObjectPattern") return pattern.properties.flatMap(boundBy);
  if (pattern?.type === "Property") return boundBy(pattern.value);
  if (pattern?.type === "AssignmentPattern") return boundBy(pattern.left);
  if (pattern?.type === "RestElement") return boundBy(pattern.argument);
  return [];
}

/** The classes of names that stand for one thing in all of the code, made by `new`. */
function instancesIn(program: ESTree.Program): ReadonlyMap<string, string> {
  const bound = new Map<string, number>();
  const made = new Map<string, string>();
  const bind = (...patterns: readonly (ESTree.Node | null)[]) => {
    for (const name of patterns.flatMap(boundBy)) bound.set(name, (bound.get(name) ?? 0) + 1);
  };
  new Visitor({
    VariableDeclarator({ id, init }) {
      bind(id);
      if (id.type === "Identifier" && init?.type === "NewExpression" && init.callee.type === "Identifier")
        made.set(id.name, init.callee.name);
    },
    FunctionDeclaration: ({ id, params }) => bind(id, ...params),
    FunctionExpression: ({ id, params }) => bind(id, ...params),
    ArrowFunctionExpression: ({ params }) => bind(...params),
    CatchClause: ({ param }) => bind(param),
    AssignmentExpression: ({ left }) => bind(left),
    ForOfStatement: ({ left }) => bind(left),
    ForInStatement: ({ left }) => bind(left),
    ImportSpecifier: ({ local }) => bind(local),
  }).visit(program);
  return new Map([...made].filter(([name]) => bound.get(name) === 1));
}

/** What tells of a place which class it lies in, and of a class whether its `this` is no other's: it neither extends one nor is extended. */
function classesIn(program: ESTree.Program) {
  const classes: { readonly name: string; readonly start: number; readonly end: number }[] = [];
  const related = new Set<string>();
  const add = (name: string, { superClass, start, end }: ESTree.Class) => {
    classes.push({ name, start, end });
    if (superClass) related.add(name);
    if (superClass?.type === "Identifier") related.add(superClass.name);
  };
  new Visitor({
    VariableDeclarator({ id, init }) {
      if (id.type === "Identifier" && init?.type === "ClassExpression") add(id.name, init);
    },
    ClassDeclaration(node) {
      if (node.id) add(node.id.name, node);
    },
  }).visit(program);
  const alone = (name: string | undefined) =>
    classes.some((one) => one.name === name) && !related.has(name!) ? name : undefined;
  return {
    alone,
    at: (place: number) => alone(classes.findLast(({ start, end }) => start <= place && place < end)?.name),
  };
}

/** Methods of classes, and entries `name: () => op,` of the object of getters that a bundle makes of src/ops/everyday.ts. */
function methodsIn(code: string): Method[] {
  const program = parsed(code);
  const classes = classesIn(program);
  const methods: Method[] = [];
  new Visitor({
    MethodDefinition({ key, computed, start, end }) {
      if (key.type === "Identifier" && !computed && !UNNAMED.includes(key.name))
        methods.push({ name: key.name, owner: classes.at(start), start, end });
    },
    VariableDeclarator({ id, init }) {
      if (id.type !== "Identifier" || !id.name.startsWith("everyday_exports")) return;
      const list = init?.type === "CallExpression" ? init.arguments[0] : undefined;
      for (const property of list?.type === "ObjectExpression" ? list.properties : [])
        if (property.type === "Property" && property.key.type === "Identifier")
          methods.push({
            name: property.key.name,
            owner: undefined,
            start: property.start,
            end: property.end,
          });
    },
  }).visit(program);
  return methods.sort((a, b) => a.start - b.start);
}

function without(methods: readonly Method[], code: string): string {
  let lean = code;
  // What lies inside another one goes with it.
  const outer = methods.filter(({ start }) => !methods.some((m) => m.start < start && start < m.end));
  for (const { start, end } of outer.toReversed())
    lean = lean.slice(0, start) + lean.slice(end).replace(/^\s*,/, "");
  return lean;
}

/** @throws Error for code that is none: a parser gives an empty program, in which nothing is named. */
function parsed(code: string): ESTree.Program {
  const { program, errors } = parseSync("bundle.js", code);
  if (errors.length > 0) throw new Error(`lean-methods: the bundle does not parse: ${errors[0]!.message}`);
  return program;
}

/** Whether the code that a minifier leaves names a method: of whatever object, or of the `this` of its class. */
function namesIn(code: string): (method: Method) => boolean {
  const program = parsed(minifySync("bundle.js", code, { module: true, compress: true, mangle: false }).code);
  const classes = classesIn(program);
  const instances = instancesIn(program);
  const names = new Set<string>();
  const isForeign = (object: ESTree.Expression): boolean =>
    object.type === "Identifier"
      ? FOREIGN.includes(object.name)
      : object.type === "NewExpression" && isForeign(object.callee);
  const textsOf = (node: ESTree.Node): string[] => {
    if (node.type === "Literal") return [String(node.value)];
    if (node.type === "TemplateLiteral" && node.expressions.length === 0) return [node.quasis[0]!.value.raw];
    if (node.type === "ConditionalExpression") return [node.consequent, node.alternate].flatMap(textsOf);
    if (node.type === "LogicalExpression") return [node.left, node.right].flatMap(textsOf);
    return [];
  };
  const ofTexts = new Set<ESTree.Node>();
  new Visitor({
    CallExpression({ callee, arguments: [first] }) {
      const isText =
        first?.type === "TemplateLiteral" || (first?.type === "Literal" && typeof first.value !== "number");
      if (isText && callee.type === "MemberExpression") ofTexts.add(callee.property);
    },
    MemberExpression({ object, property, computed, start }) {
      if (isForeign(object)) return;
      if (property.type === "Identifier" && OF_TEXTS.includes(property.name) && ofTexts.has(property)) return;
      const owner =
        object.type === "ThisExpression"
          ? classes.at(start)
          : object.type === "Identifier"
            ? classes.alone(instances.get(object.name))
            : undefined;
      for (const name of !computed && property.type === "Identifier" ? [property.name] : textsOf(property)) {
        names.add(owner ? `${owner}.${name}` : name);
        if (owner) names.add(`this.${name}`);
      }
    },
    BinaryExpression({ operator, left }) {
      for (const name of operator === "in" ? textsOf(left) : []) names.add(name);
    },
    ObjectPattern({ properties }) {
      for (const property of properties)
        if (property.type === "Property" && property.key.type === "Identifier") names.add(property.key.name);
    },
  }).visit(program);
  return ({ name, owner }) => names.has(name) || names.has(`${owner ?? "this"}.${name}`);
}

/**
 * Leaves out methods of classes and of tensors, and what is behind them, that a bundle of one file never names: neither the
 * program nor what it reaches of the engine. What is called by a name that is put together at run time, or from outside of
 * the bundle, must be named, too.
 */
export function leanMethods(): Plugin {
  return {
    name: "lean-methods",
    renderChunk(code, _, __, { chunks }) {
      if (Object.keys(chunks).length > 1) return null; // another file may call them
      // The code behind one method may name others.
      let absent = methodsIn(code);
      for (;;) {
        const lean = without(absent, code);
        const isNamed = namesIn(lean);
        const left = absent.filter((method) => !isNamed(method));
        if (left.length === absent.length) return { code: lean, map: null };
        absent = left;
      }
    },
  };
}
