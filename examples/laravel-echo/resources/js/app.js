import './echo.js'

const userId = Number(document.querySelector('meta[name="user-id"]').content)
const list = document.querySelector('#events')

function show(text) {
  const item = document.createElement('li')
  item.textContent = text
  list.append(item)
}

// A private channel: Echo asks /broadcasting/auth of this site, as always. The dot says that the name is used as it is.
window.Echo.private(`user.${userId}`)
  .subscribed(() => show('listening to your orders'))
  .listen('.order.shipped', ({ order_id, carrier }) => show(`order ${order_id} is on its way with ${carrier}`))

// Somebody else's: the site refuses.
window.Echo.private(`user.${userId + 1}`).error(() => show("not your neighbour's"))

// A public channel. Without the dot, Echo puts App\Events before the name.
window.Echo.channel('shop-window')
  .subscribed(() => show('looking at the shop window'))
  .listen('OrderCreated', ({ order_id }) => show(`just sold: order ${order_id}`))
