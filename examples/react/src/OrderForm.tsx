import { useEffect, useState, type DragEvent, type FormEvent } from "react";
import { JobError, mayBePaid, type Price } from "@unstuck/client";
import { useJobs, useTools } from "@unstuck/react";
import { OFFERS, type Offer, type Values } from "./offers";

const EMPTY: Values = { file: null, prompt: "" };

/** What the order would cost; null until the newest question is answered. */
function usePrice(offer: Offer, values: Values): { price: Price | null; problem: string | null } {
  const jobs = useJobs();
  const [answer, setAnswer] = useState<{ price: Price | null; problem: string | null }>();
  useEffect(() => {
    let isWanted = true;
    setAnswer(undefined);
    offer.price(jobs, values).then(
      (price) => isWanted && setAnswer({ price, problem: null }),
      (error: unknown) =>
        isWanted &&
        setAnswer({ price: null, problem: error instanceof JobError ? error.message : "?" }),
    );
    return () => {
      isWanted = false;
    };
    // A prompt does not change what it costs.
  }, [jobs, offer, values.file]);
  return answer ?? { price: null, problem: null };
}

/** What stands on the button. */
function label({ price, problem }: ReturnType<typeof usePrice>): string {
  if (problem) return problem;
  if (!price) return "Order";
  if (!mayBePaid(price)) return `${price.lowest} credits needed, you have ${price.balance}`;
  return price.unmeasured
    ? `Order, up to ${price.credits} credits`
    : `Order, ${price.credits} credits`;
}

function Drop({ offer, file, onFile }: DropProps) {
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    onFile(event.dataTransfer.files[0] ?? null);
  };
  return (
    <label
      className={isOver ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <input
        type="file"
        name="file"
        accept={offer.accept ?? undefined}
        onChange={(event) => {
          onFile(event.target.files?.[0] ?? null);
          // Choosing the same file a second time is a change too.
          event.target.value = "";
        }}
      />
      {file ? <strong>{file.name}</strong> : <span>Drop a file here, or choose one</span>}
    </label>
  );
}

interface DropProps {
  offer: Offer;
  file: File | null;
  onFile: (file: File | null) => void;
}

export function OrderForm() {
  const jobs = useJobs();
  const { value: tools, error } = useTools();
  const [offer, setOffer] = useState<Offer>(OFFERS[0]);
  const [values, setValues] = useState(EMPTY);
  const asked = usePrice(offer, values);
  const onSale = OFFERS.filter(({ tool }) => tools?.some((sold) => sold.tool === tool));
  const order = (event: FormEvent) => {
    event.preventDefault();
    offer.run(jobs, values, asked.price?.credits ?? null);
    setValues(EMPTY);
  };
  return (
    <form className="card stack" onSubmit={order}>
      {error && <p role="alert">{error.message}</p>}
      <div className="tools" role="radiogroup" aria-label="Tool">
        {onSale.map((one) => (
          <button
            key={one.tool}
            type="button"
            role="radio"
            aria-checked={one === offer}
            onClick={() => {
              setOffer(one);
              setValues(EMPTY);
            }}
          >
            {one.name}
          </button>
        ))}
      </div>
      {offer.accept ? (
        <Drop offer={offer} file={values.file} onFile={(file) => setValues({ ...values, file })} />
      ) : (
        <textarea
          name="prompt"
          aria-label="What the site is for"
          placeholder="A page for a bakery that opens at six"
          value={values.prompt}
          onChange={(event) => setValues({ ...values, prompt: event.target.value })}
        />
      )}
      <button
        disabled={!offer.isComplete(values) || (asked.price !== null && !mayBePaid(asked.price))}
      >
        {label(asked)}
      </button>
    </form>
  );
}
