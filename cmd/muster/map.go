package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"muster/config"
	"muster/event"
	"muster/ingest"
	"muster/mixpanel"
)

func newMap(env *environment) *cobra.Command {
	var settings, now string
	cmd := &cobra.Command{
		Use: "map --settings FILE", Short: "Show what calls become in Mixpanel, without sending anything",
		Long: `Map reads Segment calls on standard input, one JSON object a line, and writes one line
of JSON for each: its messages to Mixpanel, or the error for which it would be refused.
It sends nothing, needs no database, and never shows a credential that it does not have
to: a record to Mixpanel holds the project token, and nothing else that is secret.

The settings are those of a destination in muster.yaml, alone in a file, as YAML or JSON.
Besides the six calls there is unset_property, which removes properties from a profile:
  {"type": "unset_property", "userId": "kim", "properties": ["plan"]}

Exit code 0 means that every line was answered, be it with an error.`,
		Example: `  muster map --settings mixpanel.yaml < calls.ndjson
  head -1 calls.ndjson | muster map --settings mixpanel.yaml --now 2026-03-10T12:00:00Z`,
		Args: exactly(0, "no arguments: calls come on standard input"),
		RunE: func(*cobra.Command, []string) error {
			if settings == "" {
				return usageError{errors.New("map needs --settings FILE")}
			}
			clock := env.now
			if now != "" {
				at, err := time.Parse(time.RFC3339, now)
				if err != nil {
					return usageError{fmt.Errorf("--now %s: write an instant such as 2026-03-10T12:00:00Z", now)}
				}
				clock = func() time.Time { return at }
			}
			s, err := config.LoadSettings(settings, env.lookup)
			if err != nil {
				return err
			}
			return mapCalls(env.in, unshown(env.out), mixpanel.NewDryRun(s), clock)
		},
	}
	cmd.Flags().StringVar(&settings, "settings", "", "`file` with the settings of the destination")
	cmd.Flags().StringVar(&now, "now", "", "the `instant` that is taken for the present; default: the clock")
	return cmd
}

// mapCalls answers each line of calls with one line.
func mapCalls(calls io.Reader, out io.Writer, dry *mixpanel.DryRun, clock func() time.Time) error {
	in, w := bufio.NewReaderSize(calls, ingest.MaxLine+1), bufio.NewWriter(out)
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(fmt.Errorf("read line %d: %w", number, err), w.Flush())
		}
		switch {
		case tooLong:
			writeLine(w, mixpanel.ErrorLine("", fmt.Errorf("line %d is longer than %d bytes", number, ingest.MaxLine)))
		case len(bytes.TrimSpace(line)) > 0:
			writeLine(w, mapLine(dry, line, clock()))
		}
		// Whoever types calls wants each answer at once.
		if in.Buffered() == 0 || err != nil {
			if flushed := w.Flush(); flushed != nil || err != nil {
				return flushed
			}
		}
	}
}

func writeLine(w *bufio.Writer, line []byte) {
	_, _ = w.Write(line) // Flush tells the error
	_ = w.WriteByte('\n')
}

// frame is what has to be known of a call before it is decoded.
type frame struct {
	Type       string         `json:"type"`
	MessageID  jsontext.Value `json:"messageId"`
	ReceivedAt time.Time      `json:"receivedAt"`
	Properties jsontext.Value `json:"properties"`
}

func mapLine(dry *mixpanel.DryRun, line []byte, now time.Time) []byte {
	// A frame that cannot be read is decoding's to complain of.
	var f frame
	_ = json.Unmarshal(line, &f)
	env := event.Envelope{ReceivedAt: now, Archived: true, MaxBytes: ingest.MaxLine}
	if !f.ReceivedAt.IsZero() {
		env.ReceivedAt = f.ReceivedAt
	}
	call, err := decodeForMap(bytes.Clone(line), f, env)
	if err != nil {
		id, _ := event.Text(f.MessageID)
		return mixpanel.ErrorLine(id, err)
	}
	return dry.Line(call, now)
}

// decodeForMap is event.Decode that knows the administrative operation too.
func decodeForMap(line []byte, f frame, env event.Envelope) (*event.Call, error) {
	if f.Type != string(mixpanel.UnsetProperty) {
		return event.Decode(line, env)
	}
	// Its ids and times are those of an identify; its list of properties is not read there.
	env.Type = event.Identify
	call, err := event.Decode(line, env)
	if err != nil {
		return nil, err
	}
	call.Type, call.Properties, call.Traits = mixpanel.UnsetProperty, f.Properties, nil
	return call, nil
}
