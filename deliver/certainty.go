package deliver

import (
	"context"
	"sync"
	"time"
)

// certainty is a context that ends when the lease may have run out.
type certainty struct {
	mu     sync.Mutex
	parent context.Context
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer
}

func newCertainty(parent context.Context, d time.Duration) *certainty {
	c := &certainty{parent: parent}
	c.extend(d)
	return c
}

// extend makes the lease certain for d from now.
func (c *certainty) extend(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.ctx == nil || c.ctx.Err() != nil {
		c.ctx, c.cancel = context.WithCancel(c.parent)
	}
	c.timer = time.AfterFunc(d, c.cancel)
}

func (c *certainty) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.cancel()
}

func (c *certainty) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx
}
