import { useState } from "react";

const heading: string = __HEADING__;

export default function App() {
  const [count, setCount] = useState<number>(0);
  return (
    <main>
      <h1>{heading}</h1>
      <button onClick={() => setCount(count + 1)}>{count}</button>
    </main>
  );
}
